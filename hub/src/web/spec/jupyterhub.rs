//! JupyterHub's part.

use super::Kind::{Flag, Number, Object, Text, Texts};
use super::Operation;
use super::Rights::{AnyOf, Anyone, Open};

/// Arguments of every list.
const PAGE: &[(&str, super::Kind)] = &[("offset", Number), ("limit", Number)];
const START: &[(&str, super::Kind)] = &[
    ("display_name", Text),
    ("user_options", Object),
    ("profile", Text),
    ("memory", Text),
    ("image", Text),
    ("gpus", Number),
    ("gpu_model", Text),
];
const CHANGE: &[(&str, super::Kind)] =
    &[("name", Text), ("display_name", Text), ("user_options", Object)];
const MEMBERS: &[(&str, super::Kind)] = &[("users", Texts), ("roles", Texts)];
const SERVICE: &[(&str, super::Kind)] = &[
    ("url", Text),
    ("api_token", Text),
    ("admin", Flag),
    ("display", Flag),
    ("info", Object),
    ("oauth_client_id", Text),
    ("oauth_redirect_uri", Text),
    ("oauth_client_allowed_scopes", Texts),
    ("oauth_no_confirm", Flag),
];
const REMOVE: &[(&str, super::Kind)] = &[("remove", Flag)];
const TOKEN: &[(&str, super::Kind)] = &[
    ("note", Text),
    ("expires_in", Number),
    ("scopes", Texts),
    ("roles", Texts),
    ("auth", Object),
];

/// The scopes of which any shows something of a person.
const SEES: super::Rights = AnyOf(&[
    "read:users",
    "read:users:name",
    "read:users:groups",
    "read:users:activity",
    "read:servers",
    "read:roles:users",
    "admin:auth_state",
]);
const READS: super::Rights = AnyOf(&["read:servers"]);
const STARTS: super::Rights = AnyOf(&["start:servers"]);
const STOPS: super::Rights = AnyOf(&["delete:servers"]);
const GROUPS: super::Rights = AnyOf(&["groups"]);
const SHARES: super::Rights = AnyOf(&["shares"]);

/// All of it.
pub const OPERATIONS: &[Operation] = &[
    Operation::new("get", "/hub/health", Open, &[200], "Whether the hub lives"),
    Operation::new(
        "post",
        "/hub/security/csp-report",
        Open,
        &[204],
        "A browser's complaint; it is counted",
    ),
    Operation::new("get", "/hub/metrics", AnyOf(&["read:metrics"]), &[200], "For Prometheus"),
    Operation::new(
        "get",
        "/hub/metrics/gpus",
        AnyOf(&["read:metrics"]),
        &[200],
        "GPUs for Prometheus, under the names of dcgm-exporter",
    ),
    Operation::new("get", "/hub/api", Open, &[200], "The version").gives("Object"),
    Operation::new("get", "/hub/api/", Open, &[200], "The version").gives("Object"),
    Operation::new("get", "/hub/api/spec", Open, &[200], "This document").gives("Object"),
    Operation::new("get", "/hub/api/health", Open, &[200], "Whether the hub lives"),
    Operation::new("get", "/hub/api/info", AnyOf(&["read:hub"]), &[200], "About the hub")
        .gives("Object"),
    Operation::new("get", "/hub/api/user", Anyone, &[200], "Whose the credentials are")
        .gives("User"),
    Operation::new(
        "get",
        "/hub/api/oauth2/authorize",
        Open,
        &[200, 302, 303, 403],
        "Where a server sends its visitor to learn who that is",
    )
    .query(&[
        ("client_id", Text),
        ("redirect_uri", Text),
        ("response_type", Text),
        ("state", Text),
        ("scope", Text),
    ]),
    Operation::new(
        "post",
        "/hub/api/oauth2/authorize",
        Open,
        &[302, 303, 403, 415, 422],
        "The visitor agrees",
    ),
    Operation::new("post", "/hub/api/oauth2/token", Open, &[200, 401], "A code becomes a token"),
    Operation::new("get", "/hub/api/users", AnyOf(&["list:users"]), &[200], "A page of the people")
        .query(&[
            ("offset", Number),
            ("limit", Number),
            ("state", Text),
            ("sort", Text),
            ("name_filter", Text),
            ("include_stopped_servers", Text),
        ])
        .gives("Users"),
    Operation::new(
        "post",
        "/hub/api/users",
        AnyOf(&["admin:users"]),
        &[201, 409],
        "People whom the account directory knows become users",
    )
    .body(&[("usernames", Texts), ("admin", Flag)])
    .gives("Users"),
    Operation::new("get", "/hub/api/users/{user}", SEES, &[200], "A person")
        .query(&[("include_stopped_servers", Text)])
        .gives("User"),
    Operation::new(
        "post",
        "/hub/api/users/{user}",
        AnyOf(&["admin:users"]),
        &[201, 409],
        "Somebody whom the account directory knows becomes a user",
    )
    .body(&[("admin", Flag)])
    .gives("User"),
    Operation::new(
        "patch",
        "/hub/api/users/{user}",
        AnyOf(&["admin:users"]),
        &[200],
        "Makes administrators, and unmakes them",
    )
    .body(&[("name", Text), ("admin", Flag)])
    .gives("User"),
    Operation::new(
        "delete",
        "/hub/api/users/{user}",
        AnyOf(&["delete:users"]),
        &[204],
        "Stops and forgets a person's servers, then the person",
    ),
    Operation::new(
        "post",
        "/hub/api/users/{user}/activity",
        AnyOf(&["users:activity"]),
        &[200],
        "A server reports its activity",
    )
    .body(&[("last_activity", Text), ("servers", Object)]),
    Operation::new(
        "post",
        "/hub/api/users/{user}/admin-access",
        AnyOf(&["servers"]),
        &[],
        "A relic: always refused",
    ),
    Operation::new(
        "get",
        "/hub/api/users/{user}/shared",
        AnyOf(&["read:users:shares"]),
        &[200],
        "What is shared with a person: nothing",
    )
    .query(PAGE)
    .gives("Object"),
    Operation::new("get", "/hub/api/users/{user}/server", READS, &[200], "The default server")
        .gives("Server"),
    Operation::new(
        "post",
        "/hub/api/users/{user}/server",
        STARTS,
        &[201, 202, 500],
        "Starts the default server: 201 once it can be opened, 202 if that takes longer",
    )
    .body(START),
    Operation::new(
        "delete",
        "/hub/api/users/{user}/server",
        STOPS,
        &[202, 204],
        "Stops the default server",
    )
    .body(REMOVE),
    Operation::new(
        "put",
        "/hub/api/users/{user}/server",
        STARTS,
        &[409],
        "Everybody has a default server",
    ),
    Operation::new(
        "patch",
        "/hub/api/users/{user}/server",
        STARTS,
        &[200],
        "What the default server will start with",
    )
    .body(CHANGE)
    .gives("Server"),
    Operation::new("get", "/hub/api/users/{user}/servers/", READS, &[200], "The default server")
        .gives("Server"),
    Operation::new(
        "post",
        "/hub/api/users/{user}/servers/",
        STARTS,
        &[201, 202, 500],
        "Starts the default server",
    )
    .body(START),
    Operation::new(
        "delete",
        "/hub/api/users/{user}/servers/",
        STOPS,
        &[202, 204],
        "Stops the default server",
    )
    .body(REMOVE),
    Operation::new(
        "put",
        "/hub/api/users/{user}/servers/",
        STARTS,
        &[409],
        "Everybody has a default server",
    ),
    Operation::new(
        "patch",
        "/hub/api/users/{user}/servers/",
        STARTS,
        &[200],
        "What the default server will start with",
    )
    .body(CHANGE)
    .gives("Server"),
    Operation::new(
        "get",
        "/hub/api/users/{user}/server/progress",
        READS,
        &[200],
        "How a start goes, as an event stream",
    ),
    Operation::new("get", "/hub/api/users/{user}/servers/{server}", READS, &[200], "A server")
        .gives("Server"),
    Operation::new(
        "post",
        "/hub/api/users/{user}/servers/{server}",
        STARTS,
        &[201, 202, 500],
        "Starts a server, which is made if it is new",
    )
    .body(START),
    Operation::new(
        "delete",
        "/hub/api/users/{user}/servers/{server}",
        STOPS,
        &[202, 204],
        "Stops a server; with `remove` it is forgotten",
    )
    .body(REMOVE),
    Operation::new(
        "put",
        "/hub/api/users/{user}/servers/{server}",
        STARTS,
        &[201, 409],
        "Makes a server without starting it",
    )
    .body(START)
    .gives("Server"),
    Operation::new(
        "patch",
        "/hub/api/users/{user}/servers/{server}",
        STARTS,
        &[200],
        "What a server that does not run will start with",
    )
    .body(CHANGE)
    .gives("Server"),
    Operation::new(
        "get",
        "/hub/api/users/{user}/servers/{server}/progress",
        READS,
        &[200],
        "How a start goes, as an event stream",
    ),
    Operation::new(
        "get",
        "/hub/api/users/{user}/tokens",
        AnyOf(&["read:tokens"]),
        &[200],
        "A person's tokens, without their secrets",
    )
    .gives("Tokens"),
    Operation::new(
        "post",
        "/hub/api/users/{user}/tokens",
        AnyOf(&["tokens"]),
        &[201, 429],
        "A new token; its secret is shown this once. Name and password in `auth` are credentials too",
    )
    .body(TOKEN)
    .gives("Token"),
    Operation::new(
        "get",
        "/hub/api/users/{user}/tokens/{id}",
        AnyOf(&["read:tokens"]),
        &[200],
        "A token, without its secret",
    )
    .gives("Token"),
    Operation::new(
        "delete",
        "/hub/api/users/{user}/tokens/{id}",
        AnyOf(&["tokens"]),
        &[204],
        "Ends a token",
    ),
    Operation::new("get", "/hub/api/groups", AnyOf(&["list:groups"]), &[200], "A page of the groups")
        .query(PAGE)
        .gives("Groups"),
    Operation::new(
        "post",
        "/hub/api/groups",
        AnyOf(&["admin:groups"]),
        &[201, 409],
        "Makes groups beside those of the account directory, with these members",
    )
    .body(&[("groups", Texts), ("users", Texts), ("roles", Texts)])
    .gives("Groups"),
    Operation::new(
        "get",
        "/hub/api/groups/{group}",
        AnyOf(&["read:groups", "read:groups:name", "read:roles:groups"]),
        &[200],
        "A group",
    )
    .gives("Group"),
    Operation::new(
        "post",
        "/hub/api/groups/{group}",
        AnyOf(&["admin:groups"]),
        &[201, 409],
        "Makes a group beside those of the account directory",
    )
    .body(MEMBERS)
    .gives("Group"),
    Operation::new(
        "delete",
        "/hub/api/groups/{group}",
        AnyOf(&["delete:groups"]),
        &[204],
        "Removes a group that this API made; the directory's are refused",
    ),
    Operation::new(
        "post",
        "/hub/api/groups/{group}/users",
        GROUPS,
        &[200],
        "Puts people into a group that this API made",
    )
    .body(MEMBERS)
    .gives("Group"),
    Operation::new(
        "delete",
        "/hub/api/groups/{group}/users",
        GROUPS,
        &[200],
        "Takes people out of a group that this API made",
    )
    .body(MEMBERS)
    .gives("Group"),
    Operation::new(
        "put",
        "/hub/api/groups/{group}/properties",
        GROUPS,
        &[200],
        "Replaces what programs keep with a group that this API made",
    )
    .body(&[])
    .gives("Group"),
    Operation::new(
        "get",
        "/hub/api/groups/{group}/shared",
        AnyOf(&["read:groups:shares"]),
        &[200],
        "What is shared with a group: nothing",
    )
    .query(PAGE)
    .gives("Object"),
    Operation::new("get", "/hub/api/services", AnyOf(&["list:services"]), &[200], "The services")
        .gives("Object"),
    Operation::new(
        "get",
        "/hub/api/services/{service}",
        AnyOf(&["read:services", "read:services:name", "read:roles:services"]),
        &[200],
        "A service",
    )
    .gives("Object"),
    Operation::new(
        "post",
        "/hub/api/services/{service}",
        AnyOf(&["admin:services"]),
        &[201, 409],
        "Makes a program that runs elsewhere a service",
    )
    .body(SERVICE)
    .gives("Object"),
    Operation::new(
        "delete",
        "/hub/api/services/{service}",
        AnyOf(&["admin:services"]),
        &[200, 405],
        "Removes a service that this API made; those of services.toml are refused with 405",
    ),
    Operation::new("get", "/hub/api/proxy", AnyOf(&["proxy"]), &[200], "A page of the proxy's routes")
        .query(PAGE)
        .gives("Object"),
    Operation::new("post", "/hub/api/proxy", AnyOf(&["proxy"]), &[200], "Whether the proxy answers"),
    Operation::new(
        "patch",
        "/hub/api/proxy",
        AnyOf(&["proxy"]),
        &[],
        "Refused: where the proxy is stands in hub.toml",
    ),
    Operation::new(
        "post",
        "/hub/api/shutdown",
        AnyOf(&["shutdown"]),
        &[202],
        "The hub ends, and is started again by what keeps it alive. Servers run on unless \
         `servers` is true, which needs delete:servers too; `proxy` cannot be true",
    )
    .body(&[("servers", Flag), ("proxy", Flag)])
    .gives("Object"),
    Operation::new(
        "get",
        "/hub/api/shares/{owner}",
        AnyOf(&["read:shares"]),
        &[200],
        "What somebody shares: nothing",
    )
    .query(PAGE)
    .gives("Object"),
    Operation::new(
        "get",
        "/hub/api/shares/{owner}/",
        AnyOf(&["read:shares"]),
        &[200],
        "What somebody shares of the default server: nothing",
    )
    .query(PAGE)
    .gives("Object"),
    Operation::new(
        "get",
        "/hub/api/shares/{owner}/{server}",
        AnyOf(&["read:shares"]),
        &[200],
        "What somebody shares of a server: nothing",
    )
    .query(PAGE)
    .gives("Object"),
    Operation::new("post", "/hub/api/shares/{owner}/{server}", SHARES, &[], "Refused"),
    Operation::new("patch", "/hub/api/shares/{owner}/{server}", SHARES, &[], "Refused"),
    Operation::new("delete", "/hub/api/shares/{owner}/{server}", SHARES, &[], "Refused"),
    Operation::new(
        "get",
        "/hub/api/share-codes/{owner}",
        AnyOf(&["read:shares"]),
        &[200],
        "Codes by which somebody shares: none",
    )
    .query(PAGE)
    .gives("Object"),
    Operation::new(
        "get",
        "/hub/api/share-codes/{owner}/{server}",
        AnyOf(&["read:shares"]),
        &[200],
        "Codes by which somebody shares a server: none",
    )
    .query(PAGE)
    .gives("Object"),
    Operation::new("post", "/hub/api/share-codes/{owner}/{server}", SHARES, &[], "Refused"),
    Operation::new("delete", "/hub/api/share-codes/{owner}/{server}", SHARES, &[], "Refused"),
];
