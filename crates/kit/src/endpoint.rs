//! The endpoints of a service: the only way to add one takes its permission, and it is enforced before the handler runs.

use std::sync::Arc;

use aide::OperationInput;
use aide::OperationOutput;
use aide::axum::ApiRouter;
use aide::axum::routing::ApiMethodDocs;
use aide::openapi::Operation;
use aide::operation::OperationHandler;
use aide::transform::TransformOperation;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use crate::identity::{Verified, authenticate};
use crate::openapi;
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

impl Verb {
    /// As the router and as the document knows it.
    fn names(self) -> (MethodFilter, &'static str) {
        match self {
            Self::Get => (MethodFilter::GET, "get"),
            Self::Post => (MethodFilter::POST, "post"),
            Self::Put => (MethodFilter::PUT, "put"),
            Self::Patch => (MethodFilter::PATCH, "patch"),
            Self::Delete => (MethodFilter::DELETE, "delete"),
        }
    }
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
        H: Handler<T, Arc<S>, Future = BoxFuture<'static, Response>> + OperationHandler<I, O>,
        I: OperationInput,
        O: OperationOutput,
        T: 'static,
    {
        let mut operation = openapi::operation_of::<I, O>();
        let _ = permission.describe(describe(TransformOperation::new(&mut operation)));
        let handler = Arc::new(move |request, state| handler.clone().call(request, state));
        self.add(verb, path, Guarded { handler, permission }, operation)
    }

    fn add(self, verb: Verb, path: &str, guarded: Guarded<S>, operation: Operation) -> Self {
        let (method, name) = verb.names();
        let routed = self.0.route(path, MethodRouter::new().on(method, guarded));
        Self(routed.api_route_docs(path, ApiMethodDocs::new(name, operation)))
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

/// A handler that is reached by whom its permission admits. Its own type is forgotten, so that the way there is compiled once, and not for each.
struct Guarded<S> {
    handler: Arc<dyn Fn(Request, Arc<S>) -> BoxFuture<'static, Response> + Send + Sync>,
    permission: Permission,
}

impl<S> Clone for Guarded<S> {
    fn clone(&self) -> Self {
        Self { handler: Arc::clone(&self.handler), permission: self.permission }
    }
}

impl<S: AsRef<Shared> + Send + Sync + 'static> Handler<(), Arc<S>> for Guarded<S> {
    type Future = BoxFuture<'static, Response>;

    fn call(self, mut request: Request, state: Arc<S>) -> Self::Future {
        if self.permission.is_public() {
            return (self.handler)(request, state);
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
        checked.boxed()
    }
}

impl<S> Guarded<S> {
    fn call_if(
        self,
        admitted: Result<(), Problem>,
        mut request: Request,
        state: Arc<S>,
    ) -> BoxFuture<'static, Response> {
        match admitted {
            Ok(()) => {
                request.extensions_mut().insert(self.permission);
                (self.handler)(request, state)
            }
            Err(problem) => ready(problem.into_response()).boxed(),
        }
    }
}
