//! How often one may ask and log in. Time stands still here but for what a test advances it by.

mod logins;
mod requests;
mod siege;
mod split;
mod together;
