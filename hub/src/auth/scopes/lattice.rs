//! JupyterHub's scopes: which contains which, and who has which by nature.

/// Which scopes a scope contains directly.
pub(super) const CONTAINS: &[(&str, &[&str])] = &[
    ("admin-ui", &[]),
    ("admin:users", &["admin:auth_state", "users", "read:roles:users", "delete:users"]),
    ("admin:auth_state", &[]),
    ("users", &["read:users", "list:users", "users:activity"]),
    ("delete:users", &[]),
    ("list:users", &["read:users:name"]),
    ("read:users", &["read:users:name", "read:users:groups", "read:users:activity"]),
    ("read:users:name", &[]),
    ("read:users:groups", &[]),
    ("read:users:activity", &[]),
    ("users:activity", &["read:users:activity"]),
    ("read:roles", &["read:roles:users", "read:roles:services", "read:roles:groups"]),
    ("read:roles:users", &[]),
    ("read:roles:services", &[]),
    ("read:roles:groups", &[]),
    ("admin:servers", &["admin:server_state", "servers"]),
    ("admin:server_state", &[]),
    ("servers", &["read:servers", "start:servers", "delete:servers"]),
    ("read:servers", &["read:users:name"]),
    ("start:servers", &[]),
    ("delete:servers", &[]),
    ("tokens", &["read:tokens"]),
    ("read:tokens", &[]),
    ("admin:groups", &["groups", "read:roles:groups", "delete:groups"]),
    ("groups", &["read:groups", "list:groups"]),
    ("delete:groups", &[]),
    ("read:groups", &["read:groups:name"]),
    ("list:groups", &["read:groups:name"]),
    ("read:groups:name", &[]),
    ("admin:services", &["list:services", "read:services", "read:roles:services"]),
    ("list:services", &["read:services:name"]),
    ("read:services", &["read:services:name"]),
    ("read:services:name", &[]),
    ("shares", &["access:servers", "read:shares", "users:shares", "groups:shares"]),
    ("read:shares", &[]),
    ("users:shares", &["read:users:shares"]),
    ("read:users:shares", &[]),
    ("groups:shares", &["read:groups:shares"]),
    ("read:groups:shares", &[]),
    ("read:hub", &[]),
    ("access:servers", &[]),
    ("access:services", &[]),
    ("proxy", &[]),
    ("shutdown", &[]),
    ("read:metrics", &[]),
];

/// What everybody may do with what is theirs.
pub(super) const SELF: [&str; 7] = [
    "read:users",
    "users:activity",
    "users:shares",
    "read:shares",
    "servers",
    "tokens",
    "access:servers",
];

/// What administrators may do with everything.
pub(super) const ADMIN: [&str; 16] = [
    "admin-ui",
    "admin:users",
    "admin:servers",
    "admin:services",
    "admin:groups",
    "tokens",
    "list:services",
    "read:services",
    "read:hub",
    "read:roles",
    "read:metrics",
    "proxy",
    "shutdown",
    "access:services",
    "access:servers",
    "shares",
];

/// What every OAuth client learns of its visitor.
pub const IDENTIFY: [&str; 2] = ["read:users:name!user", "read:users:groups!user"];
