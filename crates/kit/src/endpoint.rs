//! The endpoints of a service: the only way to add one takes its permission, and it is enforced before the handler runs.

use std::sync::Arc;

use aide::OperationInput;
use aide::OperationOutput;
use aide::axum::ApiRouter;
use aide::axum::routing::ApiMethodRouter;
use aide::operation::OperationHandler;
use aide::transform::TransformOperation;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};

use crate::identity::{Verified, authenticate};
use crate::permission::Permission;
use crate::problem::Problem;
use crate::shared::Shared;

/// How something is asked of a path.
#[derive(Clone, Copy, Debug)]
pub enum Verb {
    /// See it.
    Get,
    /// Add to it, or do something to it.
    Post,
    /// Change it.
    Put,
    /// Change it.
    Patch,
    /// Take it away.
    Delete,
}

/// All endpoints of a service.
pub struct Endpoints<S>(ApiRouter<Arc<S>>);

impl<S: AsRef<Shared> + Send + Sync + 'static> Endpoints<S> {
    /// None yet.
    #[expect(clippy::new_without_default, reason = "one way to begin is enough")]
    pub fn new() -> Self {
        Self(ApiRouter::new())
    }

    /// Adds one: how and where it is asked, who may ask, what answers, and what the OpenAPI document says of it.
    #[must_use]
    pub fn on<H, I, O, T>(
        self,
        verb: Verb,
        path: &str,
        permission: Permission,
        handler: H,
        describe: impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_>,
    ) -> Self
    where
        H: Handler<T, Arc<S>> + OperationHandler<I, O>,
        I: OperationInput,
        O: OperationOutput,
        T: 'static,
    {
        let (empty, handler) = (ApiMethodRouter::new(), Guarded { handler, permission });
        let describe = permission.describing(describe);
        let endpoint = match verb {
            Verb::Get => empty.get_with(handler, describe),
            Verb::Post => empty.post_with(handler, describe),
            Verb::Put => empty.put_with(handler, describe),
            Verb::Patch => empty.patch_with(handler, describe),
            Verb::Delete => empty.delete_with(handler, describe),
        };
        Self(self.0.api_route(path, endpoint))
    }

    /// Adds others.
    #[must_use]
    pub fn merge(self, others: Self) -> Self {
        Self(self.0.merge(others.0))
    }

    pub(crate) fn into_router(self) -> ApiRouter<Arc<S>> {
        self.0
    }
}

/// A handler that is reached by whom its permission admits.
#[derive(Clone)]
struct Guarded<H> {
    handler: H,
    permission: Permission,
}

impl<H: OperationHandler<I, O>, I: OperationInput, O: OperationOutput> OperationHandler<I, O> for Guarded<H> {}

impl<H, T, S> Handler<T, Arc<S>> for Guarded<H>
where
    H: Handler<T, Arc<S>>,
    T: 'static,
    S: AsRef<Shared> + Send + Sync + 'static,
{
    type Future = Either<H::Future, BoxFuture<'static, Response>>;

    fn call(self, mut request: Request, state: Arc<S>) -> Self::Future {
        if self.permission.is_public() {
            return Either::Left(self.handler.call(request, state));
        }
        // The gateway of this process has checked the token.
        if let Some(verified) = request.extensions().get::<Verified>() {
            let admitted = self.permission.admit(verified);
            return self.call_if(admitted, request, state);
        }
        let checked = async move {
            let shared: &Shared = (*state).as_ref();
            match authenticate(&shared.tokens, &*shared.sessions, request.headers()).await {
                Ok(verified) => {
                    let admitted = self.permission.admit(&verified);
                    // The caller, the body and the list that are read next want to know them.
                    request.extensions_mut().insert(verified);
                    self.call_if(admitted, request, state).await
                }
                Err(problem) => problem.into_response(),
            }
        };
        Either::Right(checked.boxed())
    }
}

impl<H> Guarded<H> {
    fn call_if<T, S>(
        self,
        admitted: Result<(), Problem>,
        mut request: Request,
        state: S,
    ) -> Either<H::Future, BoxFuture<'static, Response>>
    where
        H: Handler<T, S>,
    {
        match admitted {
            Ok(()) => {
                request.extensions_mut().insert(self.permission);
                Either::Left(self.handler.call(request, state))
            }
            Err(problem) => Either::Right(refuse(problem)),
        }
    }
}

fn refuse(problem: Problem) -> BoxFuture<'static, Response> {
    async { problem.into_response() }.boxed()
}
