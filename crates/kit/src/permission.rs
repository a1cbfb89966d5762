//! Who may call an endpoint. None can be registered without its permission ([`crate::endpoint`]), which is enforced before its
//! handler runs, documented, and tested: it stands nowhere else.

use aide::generate::in_context;
use aide::transform::TransformOperation;

use crate::api_key::ApiKey;
use crate::identity::{Role, Verified};
use crate::openapi;
use crate::problem::Problem;

/// What an API key must be made for to call an endpoint: `orders:read`. The words are the services' own.
pub type Scope = &'static str;

/// Some of all callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// Whoever has this role, or a higher one.
    Role(Role),
    /// The account that the thing belongs to.
    Owner,
    /// That account, and whoever has this role or a higher one.
    OwnerOr(Role),
}

impl Party {
    fn includes(self, role: Role, is_owner: bool) -> bool {
        match self {
            Self::Role(least) => role >= least,
            Self::Owner => is_owner,
            Self::OwnerOr(least) => is_owner || role >= least,
        }
    }

    /// Its words, as the document shows them: `owner`, `staff`, `admin`.
    fn words(self) -> Vec<&'static str> {
        let least = match self {
            Self::Role(least) | Self::OwnerOr(least) => Some(least),
            Self::Owner => None,
        };
        let owner = (!matches!(self, Self::Role(_))).then_some("owner");
        let roles = Role::ALL.into_iter().filter(|role| least.is_some_and(|least| *role >= least));
        owner.into_iter().chain(roles.map(Role::as_str)).collect()
    }
}

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Who may do it; `None` is anybody, without a token too.
    may: Option<Party>,
    /// Where it is done to one thing: who may know that there is such a thing. They are told 403, all others 404.
    sees: Option<Party>,
    keys: Keys,
}

/// Which API keys may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    /// None.
    No,
    /// Those that were made for this.
    With(Scope),
    /// Any.
    All,
}

/// Anybody, without a token too.
pub const PUBLIC: Permission = Permission { may: None, sees: None, keys: Keys::No };
/// Whoever has an account.
pub const ANYONE: Permission = Permission::to(Party::Role(Role::Customer));
/// Staff and admins.
pub const STAFF: Permission = Permission::to(Party::Role(Role::Staff));
/// Admins.
pub const ADMIN: Permission = Permission::to(Party::Role(Role::Admin));
/// The account that the thing belongs to; for others it isn't there.
pub const OWNER: Permission = Permission::to(Party::Owner).seen_by(Party::Owner);
/// That account, and staff; for others it isn't there.
pub const OWNER_OR_STAFF: Permission =
    Permission::to(Party::OwnerOr(Role::Staff)).seen_by(Party::OwnerOr(Role::Staff));
/// That account, and admins; staff may know of it, for others it isn't there.
pub const OWNER_OR_ADMIN: Permission =
    Permission::to(Party::OwnerOr(Role::Admin)).seen_by(Party::OwnerOr(Role::Staff));

impl Permission {
    const fn to(party: Party) -> Self {
        Self { may: Some(party), sees: None, keys: Keys::No }
    }

    /// It is done to a thing that these may know of; others get 404.
    pub const fn seen_by(mut self, party: Party) -> Self {
        self.sees = Some(party);
        self
    }

    /// Who may not do it, may not know that there is anything to do it to: 404.
    pub const fn hidden(mut self) -> Self {
        self.sees = self.may;
        self
    }

    /// An API key may do it too, if it was made for this.
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.keys = Keys::With(scope);
        self
    }

    /// Any API key may do it too.
    pub const fn any_key(mut self) -> Self {
        self.keys = Keys::All;
        self
    }

    /// Whether anybody may, without a token too.
    pub const fn is_public(&self) -> bool {
        self.may.is_none()
    }

    /// Refuses whoever may not, whatever the thing is and whosever. Where that depends on the thing, its handler looks it up
    /// and asks [`Permission::judge`].
    pub(crate) fn admit(&self, caller: &Verified) -> Result<(), Problem> {
        let admitted = match caller.key() {
            Some(key) => self.admit_key(key),
            None => self.admit_role(caller.role()),
        };
        admitted.map_err(|refused| refused.naming(caller))
    }

    /// A key acts for an admin, so that its scopes alone say what it may.
    fn admit_key(&self, key: &ApiKey) -> Result<(), Problem> {
        match self.keys {
            Keys::All => Ok(()),
            Keys::With(scope) if key.has(scope) => Ok(()),
            Keys::With(scope) => Err(Problem::insufficient_scope(scope)),
            Keys::No => Err(Problem::forbidden("No API key may do this.")),
        }
    }

    fn admit_role(&self, role: Role) -> Result<(), Problem> {
        let could = |party: Option<Party>| party.is_some_and(|party| party.includes(role, true));
        if could(self.sees) { Ok(()) } else { self.judge(role, true) }
    }

    /// Whether a caller may do it to a thing that is theirs or isn't: else 403, or 404 if they may not know of it.
    pub(crate) fn judge(&self, role: Role, is_owner: bool) -> Result<(), Problem> {
        let includes = |party: Option<Party>| party.is_none_or(|party| party.includes(role, is_owner));
        match (includes(self.may), includes(self.sees)) {
            (true, _) => Ok(()),
            (false, true) => Err(self.refusal()),
            (false, false) => Err(Problem::not_found()),
        }
    }

    /// Whether a caller may know of a thing that is theirs or isn't: else 404.
    pub(crate) fn judge_sight(&self, role: Role, is_owner: bool) -> Result<(), Problem> {
        match self.sees.or(self.may) {
            Some(party) if !party.includes(role, is_owner) => Err(Problem::not_found()),
            _ => Ok(()),
        }
    }

    fn refusal(&self) -> Problem {
        Problem::forbidden(match self.may {
            Some(Party::Role(Role::Admin) | Party::OwnerOr(Role::Admin)) => "Only an admin may do this.",
            _ => "Only staff may do this.",
        })
    }

    /// Says in the OpenAPI document who may: `x-roles`, of a thing `x-visible-to`, and under `security` what an API key needs.
    pub(crate) fn describe(self, mut operation: TransformOperation<'_>) -> TransformOperation<'_> {
        let inner = operation.inner_mut();
        let words = |party: Option<Party>| party.map_or_else(|| vec!["anybody"], Party::words);
        openapi::add_extension(inner, "x-roles", words(self.may));
        if let Some(sees) = self.sees {
            openapi::add_extension(inner, "x-visible-to", sees.words());
        }
        if self.is_public() {
            return operation;
        }
        inner.security.push([("bearer".to_owned(), Vec::new())].into_iter().collect());
        if let Some(scopes) = self.scopes_of_keys() {
            inner.security.push([("api_key".to_owned(), scopes)].into_iter().collect());
        }
        in_context(|ctx| {
            openapi::add_problem(ctx, inner, 401, "No token, or one that is not valid.");
            openapi::add_problem(
                ctx,
                inner,
                403,
                "The caller's role, or the API key's scopes, don't allow this.",
            );
        });
        operation
    }

    /// What an API key must be made for; `None` where no key may.
    fn scopes_of_keys(self) -> Option<Vec<String>> {
        match self.keys {
            Keys::No => None,
            Keys::With(scope) => Some(vec![scope.to_owned()]),
            Keys::All => Some(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 3] = Role::ALL;

    /// What a customer, staff and an admin are told of what isn't theirs, then of what is.
    fn told(permission: Permission) -> [[u16; 3]; 2] {
        let status = |role, is_owner| match permission.judge(role, is_owner) {
            Ok(()) => 200,
            Err(problem) => problem.status().as_u16(),
        };
        [ROLES.map(|role| status(role, false)), ROLES.map(|role| status(role, true))]
    }

    #[test]
    fn each_permission_is_judged_as_it_reads() {
        assert_eq!(told(PUBLIC), [[200; 3]; 2]);
        assert_eq!(told(ANYONE), [[200; 3]; 2]);
        assert_eq!(told(STAFF), [[403, 200, 200]; 2]);
        assert_eq!(told(ADMIN), [[403, 403, 200]; 2]);
        assert_eq!(told(ADMIN.hidden()), [[404, 404, 200]; 2]);
        assert_eq!(told(OWNER), [[404; 3], [200; 3]]);
        assert_eq!(told(OWNER_OR_STAFF), [[404, 200, 200], [200; 3]]);
        assert_eq!(told(OWNER_OR_ADMIN), [[404, 403, 200], [200; 3]]);
        assert_eq!(told(STAFF.seen_by(Party::OwnerOr(Role::Staff))), [[404, 200, 200], [403, 200, 200]]);
    }

    #[test]
    fn who_can_never_may_is_refused_before_the_handler() {
        let told = |permission: Permission| {
            ROLES.map(|role| {
                permission.admit_role(role).map_or_else(|problem| problem.status().as_u16(), |()| 200)
            })
        };
        assert_eq!(told(STAFF), [403, 200, 200]);
        assert_eq!(told(ADMIN.hidden()), [404, 404, 200]);
        assert_eq!(told(OWNER_OR_ADMIN), [200; 3], "it depends on whose it is");
        assert_eq!(
            told(STAFF.seen_by(Party::Role(Role::Customer))),
            [200; 3],
            "it depends on whether it is there"
        );
    }
}
