//! `berth user password NAME`.

use berth_common::Username;
use http::Method;
use serde_json::json;

use super::{NewPassword, print};
use crate::api;
use crate::args::Common;
use crate::problem::{Exit, Problem};
use crate::verb::confirm::Sure;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose
    #[arg(value_name = "NAME")]
    name: Username,
    #[command(flatten)]
    password: NewPassword,
    #[command(flatten)]
    sure: Sure,
}

/// Sets it.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("set the password of {}", args.name);
    if let Some(exit) =
        args.sure.only_looks(&format!("The password of {} would be another.", args.name))?
    {
        return Ok(exit);
    }
    let hub = common.connection()?;
    let body = match args.password.read(&what)? {
        Some(password) => json!({ "password": password }),
        None => json!({}),
    };
    let path = api::path(&["berth", "users", args.name.as_str(), "password"]);
    let answer = api::send(&hub, &what, Method::POST, &path, Some(&body)).await?;
    print(common, &format!("Set the password of {}.", args.name), &answer.body)?;
    Ok(Exit::Done)
}
