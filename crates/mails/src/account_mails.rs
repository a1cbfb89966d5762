//! What is said to the holder of an account.

use kit::clock::Timestamp;
use kit::secret::Secret;

use crate::compose::{Content, one_line};
use crate::public_url::PublicUrl;

/// Confirming an address.
pub(crate) fn verify_email(username: &str, token: &Secret, public_url: Option<&PublicUrl>) -> Content {
    let way = match public_url {
        Some(url) => url.link("verify-email", token),
        None => request("/auth/email/verify", &format!("{{\"token\": \"{}\"}}", token.expose())),
    };
    let text = format!(
        "This address was given for the account {name}. To confirm that it is yours, use this within 24 hours; it works once:\n\n{way}\n\n\
         If the account isn't yours, do nothing.\n",
        name = one_line(username)
    );
    Content { subject: "Confirm your email address".to_owned(), text }
}

/// Setting a new password.
pub(crate) fn reset_password(username: &str, token: &Secret, public_url: Option<&PublicUrl>) -> Content {
    let way = match public_url {
        Some(url) => url.link("reset-password", token),
        None => {
            let body =
                format!("{{\"token\": \"{}\", \"new_password\": \"YOUR NEW PASSWORD\"}}", token.expose());
            request("/auth/password/reset", &body)
        }
    };
    let text = format!(
        "Somebody asked for a new password for the account {name}. To set one, use this within 15 minutes; it works once:\n\n{way}\n\n\
         All sessions of the account end then. If it wasn't you who asked, do nothing: the password stays as it is.\n",
        name = one_line(username)
    );
    Content { subject: "Set a new password".to_owned(), text }
}

/// A change that its owner must know of.
pub(crate) fn notice(what: Notice, username: &str, at: Timestamp) -> Content {
    let (subject, told) = match what {
        Notice::Password => (
            "Your password was changed",
            "The password of the account {name} was changed at {at}, and its other sessions have ended.",
        ),
        Notice::Email => (
            "Your email address was changed",
            "This was the email address of the account {name} until {at}. Another one was set in its place, and no more is sent to this one.",
        ),
        Notice::SecondFactor => (
            "Your second factor was changed",
            "The second factor of the account {name}, or its recovery codes, were changed at {at}.",
        ),
        Notice::ApiKey => ("An API key was made", "An API key was made by the account {name} at {at}."),
    };
    let told = told.replace("{at}", &at.to_string()).replace("{name}", &one_line(username));
    let text =
        format!("{told}\n\nIf that wasn't you, tell an administrator at once, and set a new password.\n");
    Content { subject: subject.to_owned(), text }
}

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Password,
    Email,
    SecondFactor,
    ApiKey,
}

/// What to send where no page of ours is known: every program can, and no link can be forged.
fn request(path: &str, body: &str) -> String {
    format!("POST {path}\nContent-Type: application/json\n\n{body}")
}
