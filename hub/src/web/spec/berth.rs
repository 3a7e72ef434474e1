//! Our own part.

use super::Kind::{Any, Flag, Number, Object, Text, Texts};
use super::Rights::{AllOf, AnyOf, Open};
use super::{Kind, Operation, Rights};

const ADMIN: Rights = AnyOf(&["admin-ui"]);
const PEOPLE: Rights = AnyOf(&["admin:users"]);
const READS: Rights = AnyOf(&["read:servers"]);
const STARTS: Rights = AnyOf(&["start:servers"]);
/// Whoever changes a server must be able to see it.
const CHANGES: Rights = AllOf(&["start:servers", "read:servers"]);
const IDENTITY: &[(&str, Kind)] = &[("issuer", Text), ("subject", Text)];

const fn get(path: &'static str, rights: Rights, summary: &'static str) -> Operation {
    Operation::new("get", path, rights, &[200], summary).gives("Object")
}

/// All of it.
pub const OPERATIONS: &[Operation] = &[
    get("/hub/api/berth/spec", Open, "This document"),
    get("/hub/api/berth/hosts", ADMIN, "All hosts"),
    get("/hub/api/berth/hosts/{host}", ADMIN, "A host"),
    Operation::new(
        "post",
        "/hub/api/berth/hosts/{host}/join-token",
        ADMIN,
        &[201],
        "A single-use token by which a declared host joins",
    )
    .gives("Object"),
    get("/hub/api/berth/hosts/{host}/explain", ADMIN, "What a host's room is made of"),
    Operation::new(
        "put",
        "/hub/api/berth/hosts/{host}/intent",
        ADMIN,
        &[200, 409],
        "Opens, cordons or drains a host",
    )
    .body(&[
        ("intent", Text),
        ("reason", Text),
        ("by", Text),
        ("at_deadline", Text),
        ("message", Text),
        ("drain", Text),
        ("dry_run", Flag),
    ])
    .gives("Object"),
    Operation::new(
        "get",
        "/hub/api/berth/config",
        ADMIN,
        &[200, 409],
        "Which files are in force, and whether those on disk are the same and good",
    )
    .gives("Object"),
    Operation::new(
        "get",
        "/hub/api/berth/config/diff",
        ADMIN,
        &[200, 409],
        "The files that differ on disk",
    )
    .gives("Object"),
    Operation::new(
        "post",
        "/hub/api/berth/config/reload",
        ADMIN,
        &[200, 409],
        "Takes the files on disk over, all or none",
    )
    .gives("Object"),
    Operation::new(
        "post",
        "/hub/api/berth/config/rollback",
        ADMIN,
        &[200, 409],
        "The files before these, until those on disk change",
    )
    .gives("Object"),
    get(
        "/hub/api/berth/config/effective/{user}",
        ADMIN,
        "The rules for a person, with the line that gave each",
    ),
    get("/hub/api/berth/doctor", ADMIN, "What was looked at, what is wrong, and what to do"),
    get("/hub/api/berth/drains", ADMIN, "Hosts that take nothing new, and who is still there"),
    Operation::new(
        "get",
        "/hub/api/berth/drains/{id}",
        ADMIN,
        &[200, 404],
        "A drain, under way or over",
    )
    .gives("Object"),
    get("/hub/api/berth/floor", ADMIN, "Hosts and servers as placement saw them at a moment")
        .query(&[("at", Text)]),
    get("/hub/api/berth/queue", ADMIN, "Who waits, in turn"),
    Operation::new(
        "put",
        "/hub/api/berth/queue/{id}",
        ADMIN,
        &[200, 409],
        "Lets somebody who waits come first, or last",
    )
    .body(&[("to", Text), ("reason", Text)])
    .gives("Object"),
    get("/hub/api/berth/pools", ADMIN, "Pools with their room and rules"),
    get(
        "/hub/api/berth/images",
        ADMIN,
        "Images, where they are, and how far new versions have come",
    ),
    Operation::new(
        "post",
        "/hub/api/berth/images/{name}/orders",
        ADMIN,
        &[200, 404, 409],
        "Has an image fetched, gives it to everybody, or takes it back",
    )
    .body(&[("order", Text), ("reason", Text), ("pools", Texts), ("dry_run", Flag)])
    .gives("Object"),
    Operation::new(
        "get",
        "/hub/api/berth/access",
        ADMIN,
        &[200, 404],
        "Who may use a profile, or whose servers a host takes",
    )
    .query(&[("profile", Text), ("host", Text)])
    .gives("Object"),
    Operation::new(
        "post",
        "/hub/api/berth/plan",
        ADMIN,
        &[200],
        "What other hosts would have meant for what was asked for",
    )
    .body(&[("remove_hosts", Texts), ("add_hosts", Any), ("replay_since", Text)])
    .gives("Object"),
    Operation::new(
        "post",
        "/hub/api/berth/plan/config",
        ADMIN,
        &[200],
        "What other files would have meant for what was asked for",
    )
    .body(&[("files", Object), ("replay_since", Text)])
    .gives("Object"),
    get("/hub/api/berth/reboots", ADMIN, "The rolling reboot that is under way"),
    Operation::new(
        "post",
        "/hub/api/berth/reboots",
        ADMIN,
        &[200, 201, 409],
        "Begins a rolling reboot",
    )
    .body(&[
        ("hosts", Any),
        ("reason", Text),
        ("each_s", Number),
        ("at_deadline", Text),
        ("dry_run", Flag),
    ])
    .gives("Object"),
    Operation::new(
        "delete",
        "/hub/api/berth/reboots",
        ADMIN,
        &[204],
        "No further host is rebooted",
    ),
    get("/hub/api/berth/maintenance", ADMIN, "Hosts that are to be empty for a while"),
    Operation::new(
        "post",
        "/hub/api/berth/maintenance",
        ADMIN,
        &[200, 404],
        "Hosts are drained, empty for a while, and open again, by themselves",
    )
    .body(&[
        ("hosts", Any),
        ("from", Text),
        ("to", Text),
        ("reason", Text),
        ("ahead_s", Number),
        ("dry_run", Flag),
    ])
    .gives("Object"),
    Operation::new(
        "delete",
        "/hub/api/berth/maintenance/{id}",
        ADMIN,
        &[204, 409],
        "Takes maintenance back",
    ),
    get("/hub/api/berth/site-notices", ADMIN, "All notices that are shown or will be"),
    Operation::new(
        "post",
        "/hub/api/berth/site-notices",
        READS,
        &[200],
        "A notice for everybody or some; by administrators, and by instructors to their training",
    )
    .body(&[
        ("to", Text),
        ("level", Text),
        ("from", Text),
        ("until", Text),
        ("en", Text),
        ("fr", Text),
        ("must_read", Flag),
        ("dry_run", Flag),
    ])
    .gives("Object"),
    Operation::new(
        "delete",
        "/hub/api/berth/site-notices/{id}",
        READS,
        &[204],
        "A notice is shown no more",
    ),
    get(
        "/hub/api/berth/trainings",
        READS,
        "The trainings that the caller takes part in, teaches or administers",
    ),
    get(
        "/hub/api/berth/trainings/{training}",
        READS,
        "A training with its participants; for its instructors and administrators, as all below",
    ),
    get("/hub/api/berth/trainings/{training}/check", READS, "What would go wrong with it"),
    Operation::new(
        "post",
        "/hub/api/berth/trainings/{training}/rehearsal",
        READS,
        &[200],
        "What would come of so many starts at once",
    )
    .body(&[("people", Number), ("prepared", Flag)])
    .gives("Object"),
    get(
        "/hub/api/berth/trainings/{training}/rehearsal/servers",
        READS,
        "The rehearsal with real servers that is under way or was the last",
    ),
    Operation::new(
        "post",
        "/hub/api/berth/trainings/{training}/rehearsal/servers",
        STARTS,
        &[201, 409],
        "Starts throw-away servers under the caller's account, measures them and ends them",
    )
    .body(&[("servers", Number), ("keep", Flag)])
    .gives("Object"),
    Operation::new(
        "delete",
        "/hub/api/berth/trainings/{training}/rehearsal/servers",
        AnyOf(&["delete:servers"]),
        &[200],
        "Breaks the rehearsal off, or ends the servers that it kept",
    )
    .gives("Object"),
    Operation::new(
        "post",
        "/hub/api/berth/trainings/{training}/orders",
        STARTS,
        &[200, 409],
        "Opens, extends or closes a training; instructors extend",
    )
    .body(&[("order", Text), ("for_s", Number), ("reason", Text), ("dry_run", Flag)])
    .gives("Object"),
    Operation::new(
        "post",
        "/hub/api/berth/trainings/{training}/participants/{user}/server",
        STARTS,
        &[202, 409],
        "Starts the training's server of a participant",
    ),
    Operation::new(
        "delete",
        "/hub/api/berth/trainings/{training}/participants/{user}/server",
        AnyOf(&["delete:servers"]),
        &[202, 409],
        "Stops the training's server of a participant",
    ),
    get("/hub/api/berth/consolidation", ADMIN, "Which hosts could be emptied"),
    get("/hub/api/berth/servers", READS, "The servers that the caller may see"),
    get("/hub/api/berth/servers/{id}", READS, "A server, by its id or the beginning of it"),
    Operation::new(
        "post",
        "/hub/api/berth/servers/{id}/extend",
        CHANGES,
        &[200, 409],
        "Puts a server's stop off",
    )
    .body(&[("for", Number)])
    .gives("Object"),
    get("/hub/api/berth/notices", READS, "What people should hear of their servers"),
    get("/hub/api/berth/servers/{id}/visits", READS, "Who entered a server, and why"),
    Operation::new(
        "post",
        "/hub/api/berth/servers/{id}/visits",
        AllOf(&["access:servers", "read:servers"]),
        &[201],
        "Lets the caller into another person's server, with a reason that the owner reads",
    )
    .body(&[("reason", Text), ("for", Number)])
    .gives("Object"),
    Operation::new(
        "delete",
        "/hub/api/berth/servers/{id}/visits",
        READS,
        &[204],
        "Ends the caller's visits to a server",
    ),
    Operation::new(
        "get",
        "/hub/api/berth/audit",
        AnyOf(&["admin:users", "read:users:activity"]),
        &[200, 404],
        "Who did what, from where, to whom and why; 404 for others than oneself",
    )
    .gives("Object")
    .query(&[
        ("user", Text),
        ("actor", Text),
        ("action", Text),
        ("since", Text),
        ("before", Number),
        ("limit", Number),
    ]),
    Operation::new(
        "put",
        "/hub/api/berth/servers/{id}/memory",
        CHANGES,
        &[200, 202, 409],
        "Gives a running server another memory limit",
    )
    .body(&[("memory", Any), ("dry_run", Flag), ("reason", Text)])
    .gives("Object"),
    Operation::new(
        "get",
        "/hub/api/berth/servers/{id}/log",
        READS,
        &[200, 409],
        "What a running server has written last",
    )
    .query(&[("lines", Number)])
    .gives("Object"),
    get("/hub/api/berth/servers/{id}/decisions", READS, "Why a server is where it is"),
    get(
        "/hub/api/berth/servers/{id}/why-not/{host}",
        AllOf(&["admin-ui", "read:servers"]),
        "What would have to be otherwise for a server to be on a host",
    )
    .query(&[("count", Number)]),
    Operation::new(
        "get",
        "/hub/api/berth/decisions",
        READS,
        &[200, 404],
        "The newest decisions; 404 for a person whom the caller may not see",
    )
    .gives("Object")
    .query(&[("user", Text), ("since", Text), ("limit", Number)]),
    Operation::new(
        "get",
        "/hub/api/berth/decisions/{id}",
        READS,
        &[200, 409],
        "A decision with its reasons; four first letters of its id are enough, and 409 says that \
         several begin so",
    )
    .gives("Object"),
    Operation::new(
        "post",
        "/hub/api/berth/explain",
        STARTS,
        &[200, 404],
        "What would come of a start now",
    )
    .body(&[
        ("user", Text),
        ("server", Text),
        ("profile", Text),
        ("memory", Any),
        ("image", Text),
        ("gpus", Number),
        ("gpu_model", Text),
    ])
    .gives("Object"),
    Operation::new(
        "post",
        "/hub/api/berth/import/jupyterhub",
        PEOPLE,
        &[200],
        "People of another JupyterHub, with their tokens; for administrators",
    )
    .body(&[("people", Kind::List), ("dry_run", Flag)])
    .gives("Object"),
    get("/hub/api/berth/usage", READS, "What people and groups held, and for how long").query(&[
        ("by", Text),
        ("from", Text),
        ("to", Text),
    ]),
    get("/hub/api/berth/profiles", READS, "What can be asked for"),
    get("/hub/api/berth/users", AnyOf(&["list:users"]), "People with their accounts"),
    Operation::new("post", "/hub/api/berth/users", PEOPLE, &[201, 409, 429], "A local user")
        .body(&[
            ("name", Text),
            ("uid", Number),
            ("gid", Number),
            ("groups", Kind::List),
            ("home", Text),
            ("admin", Flag),
            ("password", Text),
        ])
        .gives("Object"),
    get("/hub/api/berth/users/{user}/account", PEOPLE, "What the directory says of a person"),
    get(
        "/hub/api/berth/users/{user}/quota",
        AnyOf(&["read:users"]),
        "How much a person may hold, and holds",
    ),
    Operation::new(
        "get",
        "/hub/api/berth/users/{user}/farm",
        AnyOf(&["read:users"]),
        &[200, 503],
        "What a person's Dask clusters may take of the compute farm",
    )
    .gives("Object"),
    Operation::new(
        "post",
        "/hub/api/berth/users/{user}/identities",
        PEOPLE,
        &[201, 409],
        "Somebody as a provider knows them becomes this person",
    )
    .body(IDENTITY)
    .gives("Object"),
    Operation::new(
        "delete",
        "/hub/api/berth/users/{user}/identities",
        PEOPLE,
        &[204],
        "No longer this person",
    )
    .query(IDENTITY),
    Operation::new(
        "post",
        "/hub/api/berth/users/{user}/password",
        Rights::Anyone,
        &[200, 429],
        "Sets a password: one's own, or as an administrator",
    )
    .body(&[("password", Text)])
    .gives("Object"),
];
