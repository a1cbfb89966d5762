//! Turning two-factor authentication on and off: begin with the password, confirm with a code, remove it or renew the recovery codes with both.
//! Whatever changes ends all other sessions.

use accounts::{
    Account, Credentials, LoginPassword, Proof, RecoveryCodes, begin_factor, factor_changed, remove_factor,
    renew_codes, store,
};
use audit::Action;
use futures_util::FutureExt;
use kit::author::Author;
use kit::identity::Caller;
use kit::problem::Problem;

use crate::Auth;
use crate::model::{
    BeginTotpBody, ConfirmTotpBody, ProveTotpBody, ShownRecoveryCodes, TotpSecret, TotpState,
};

pub(crate) async fn state(auth: &Auth, caller: &Caller) -> Result<TotpState, Problem> {
    let account = caller.account();
    let read = auth.shared.db.read(account, |tx, account| store::factor_state(tx, *account).boxed());
    let (enabled_at, recovery_codes_left) = read.await?;
    Ok(TotpState { enabled: enabled_at.is_some(), enabled_at, recovery_codes_left })
}

pub(crate) async fn begin(
    auth: &Auth,
    caller: &Caller,
    body: BeginTotpBody,
    author: &Author,
) -> Result<TotpSecret, Problem> {
    let account = confirm_password(auth, caller, body.current_password, author).await?;
    let new = auth.accounts.factors.generate(&account)?;
    let shown = TotpSecret { secret: new.secret.clone().into(), uri: new.uri.clone().into() };
    let input = (caller.account(), new);
    auth.shared
        .db
        .write(input, |tx, (account, new)| {
            async move {
                store::lock_account(tx, *account).await?;
                begin_factor(tx, *account, new).await
            }
            .boxed()
        })
        .await??;
    Ok(shown)
}

pub(crate) async fn confirm(
    auth: &Auth,
    caller: &Caller,
    body: ConfirmTotpBody,
    author: Author,
) -> Result<ShownRecoveryCodes, Problem> {
    let codes = RecoveryCodes::generate()?;
    let shown = ShownRecoveryCodes::of(&codes);
    let who = (caller.account(), caller.session(), auth.accounts.live.clone(), author);
    let input = (who, body.code, codes, auth.accounts.factors.clone());
    auth.shared
        .db
        .write(input, |tx, ((account, session, live, author), code, codes, factors)| {
            async move {
                store::lock_account(tx, *account).await?;
                let confirmed = factors.confirm(tx, *account, code, codes, author.now).await?;
                if confirmed.is_ok() {
                    factor_changed(tx, live, *account, Some(*session), Action::TotpEnabled, author).await?;
                }
                Ok::<_, Problem>(confirmed)
            }
            .boxed()
        })
        .await??;
    Ok(shown)
}

pub(crate) async fn remove(
    auth: &Auth,
    caller: &Caller,
    body: ProveTotpBody,
    author: Author,
) -> Result<(), Problem> {
    confirm_password(auth, caller, body.current_password, &author).await?;
    let who = (caller.account(), caller.session(), auth.accounts.live.clone(), author);
    let input = (who, Proof::of(body.totp, body.recovery_code), auth.accounts.factors.clone());
    auth.shared
        .db
        .write(input, |tx, ((account, session, live, author), proof, factors)| {
            async move {
                store::lock_account(tx, *account).await?;
                let proven = factors.prove(tx, *account, proof.as_ref(), author.now).await?;
                if proven.is_ok() {
                    remove_factor(tx, live, *account, Some(*session), author).await?;
                }
                Ok::<_, Problem>(proven)
            }
            .boxed()
        })
        .await?
}

pub(crate) async fn renew(
    auth: &Auth,
    caller: &Caller,
    body: ProveTotpBody,
    author: Author,
) -> Result<ShownRecoveryCodes, Problem> {
    confirm_password(auth, caller, body.current_password, &author).await?;
    let codes = RecoveryCodes::generate()?;
    let shown = ShownRecoveryCodes::of(&codes);
    let who = (caller.account(), caller.session(), auth.accounts.live.clone(), author);
    let proof = Proof::of(body.totp, body.recovery_code);
    let input = (who, proof, codes, auth.accounts.factors.clone());
    auth.shared
        .db
        .write(input, |tx, ((account, session, live, author), proof, codes, factors)| {
            async move {
                store::lock_account(tx, *account).await?;
                let mut renewed = factors.prove(tx, *account, proof.as_ref(), author.now).await?;
                if renewed.is_ok() {
                    renewed = renew_codes(tx, *account, codes).await?;
                }
                if renewed.is_ok() {
                    let action = Action::RecoveryCodesRenewed;
                    factor_changed(tx, live, *account, Some(*session), action, author).await?;
                }
                Ok::<_, Problem>(renewed)
            }
            .boxed()
        })
        .await??;
    Ok(shown)
}

/// The caller's account, if the password is the caller's.
async fn confirm_password(
    auth: &Auth,
    caller: &Caller,
    password: LoginPassword,
    author: &Author,
) -> Result<Account, Problem> {
    let found =
        auth.shared.db.lookup(caller.account(), |tx, id| store::find_credentials(tx, *id).boxed()).await?;
    let found: Credentials = found.ok_or_else(Problem::not_found)?;
    auth.accounts.confirm_password(&found, password, author).await?;
    Ok(found.account)
}
