//! `berth user add NAME`.

use berth_common::Username;
use http::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{NewPassword, User, print};
use crate::api;
use crate::args::Common;
use crate::problem::{Exit, Problem};
use crate::verb::confirm::Sure;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The name
    #[arg(value_name = "NAME")]
    name: Username,
    /// The number of the person on the hosts
    #[arg(long, value_name = "N")]
    uid: u32,
    /// The number of the person's group on the hosts
    #[arg(long, value_name = "N")]
    gid: u32,
    /// A further group; may be repeated
    #[arg(long = "group", value_name = "NAME:GID")]
    groups: Vec<Group>,
    /// HOME on the hosts; /home/NAME if not given
    #[arg(long, value_name = "PATH")]
    home: Option<String>,
    /// Make an administrator
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    password: NewPassword,
    #[command(flatten)]
    sure: Sure,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Group {
    name: String,
    gid: u32,
}

impl std::str::FromStr for Group {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = "write NAME:GID, e.g. lsst:2001";
        let (name, gid) = text.split_once(':').ok_or(malformed)?;
        let gid = gid.parse().map_err(|_| malformed)?;
        if name.is_empty() { Err(malformed) } else { Ok(Self { name: name.into(), gid }) }
    }
}

/// Makes the account.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("add the user {}", args.name);
    if let Some(exit) =
        args.sure.only_looks(&format!("The account {} would be made.", args.name))?
    {
        return Ok(exit);
    }
    let hub = common.connection()?;
    let mut body = Map::new();
    body.insert("name".into(), json!(args.name));
    body.insert("uid".into(), json!(args.uid));
    body.insert("gid".into(), json!(args.gid));
    body.insert("groups".into(), json!(args.groups));
    body.insert("admin".into(), json!(args.admin));
    if let Some(home) = &args.home {
        body.insert("home".into(), json!(home));
    }
    if let Some(password) = args.password.read(&what)? {
        body.insert("password".into(), json!(password));
    }
    let path = api::path(&["berth", "users"]);
    let answer = api::send(&hub, &what, Method::POST, &path, Some(&Value::Object(body))).await?;
    let user: User = api::read(&what, answer.body.get("user").unwrap_or(&Value::Null))?;
    let admin = if user.admin { ", administrator" } else { "" };
    let User { name, uid, gid, home, .. } = &user;
    print(common, &format!("Added {name} (uid {uid}, gid {gid}, {home}{admin})."), &answer.body)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_a_name_and_a_number() {
        assert_eq!("lsst:2001".parse(), Ok(Group { name: "lsst".into(), gid: 2001 }));
        for bad in ["lsst", ":1", "lsst:", "lsst:x", "lsst:-1", "a:b:1"] {
            assert!(bad.parse::<Group>().is_err(), "{bad}");
        }
    }
}
