//! An OpenAPI document of the rows.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Kind, Operation, Rights};

/// The document of these operations.
pub fn of(title: &str, operations: &[Operation]) -> Value {
    let mut paths = Map::new();
    for operation in operations {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = one(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`token X` or `Bearer X`",
                },
            },
        },
    })
}

fn one(operation: &Operation) -> Value {
    let in_path = operation.path.split('/').filter_map(name_of).map(|name| {
        let example = example_of(name);
        let schema = json!({ "type": "string", "minLength": 1 });
        json!({ "name": name, "in": "path", "required": true, "schema": schema, "example": example })
    });
    let in_query = operation
        .query
        .iter()
        .map(|(name, kind)| json!({ "name": name, "in": "query", "schema": schema_of(*kind) }));
    let mut described = json!({
        "summary": operation.summary,
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": responses(operation),
    });
    if let Some(fields) = operation.body {
        described["requestBody"] = body(fields);
    }
    match operation.rights {
        Rights::Open => {}
        Rights::Anyone => described["security"] = json!([{ "token": [] }]),
        Rights::AnyOf(scopes) => {
            described["security"] = json!([{ "token": [] }]);
            described["description"] = json!(format!("Any of the scopes {}.", scopes.join(", ")));
        }
        Rights::AllOf(scopes) => {
            described["security"] = json!([{ "token": [] }]);
            described["description"] = json!(format!("All of the scopes {}.", scopes.join(", ")));
        }
    }
    described
}

fn name_of(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

fn example_of(name: &str) -> &'static str {
    match name {
        "user" | "owner" => "alice",
        "server" => "n1",
        "group" => "lab",
        "host" => "wn1",
        "id" => "a1",
        _ => "name",
    }
}

fn responses(operation: &Operation) -> Map<String, Value> {
    let response = |status: u16| {
        let reason = StatusCode::from_u16(status).ok().and_then(|it| it.canonical_reason());
        let mut response = json!({ "description": reason.unwrap_or_default() });
        let schema = if status >= 400 { Some("Error") } else { operation.gives };
        if let Some(schema) = schema {
            let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
            response["content"] = json!({ "application/json": { "schema": schema } });
        }
        (status.to_string(), response)
    };
    operation.statuses().into_iter().map(response).collect()
}

fn body(fields: &[(&str, Kind)]) -> Value {
    let fields = fields.iter().map(|(name, kind)| ((*name).to_owned(), schema_of(*kind)));
    let schema = json!({ "type": "object", "properties": fields.collect::<Map<_, _>>() });
    json!({ "content": { "application/json": { "schema": schema } } })
}

fn schema_of(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Number => json!({ "type": "integer" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::List => json!({ "type": "array" }),
        Kind::Object => json!({ "type": "object" }),
        Kind::Any => json!({}),
    }
}

/// The models that clients know.
fn schemas() -> Value {
    let text = json!({ "type": "string" });
    let maybe = json!({ "type": ["string", "null"] });
    let flag = json!({ "type": "boolean" });
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    let server = object(
        &["name", "ready", "pending", "stopped", "url"],
        json!({
            "name": text, "display_name": text, "full_name": text, "last_activity": text,
            "started": maybe, "pending": maybe, "ready": flag, "stopped": flag, "url": text,
            "user_options": { "type": "object" }, "progress_url": text, "full_url": maybe,
            "full_progress_url": maybe, "state": { "type": "object" },
        }),
    );
    let user = object(
        &["kind", "name"],
        json!({
            "kind": { "enum": ["user", "service"] }, "name": text, "admin": flag, "roles": texts,
            "groups": texts, "server": maybe, "pending": maybe, "created": text,
            "last_activity": maybe, "auth_state": { "type": ["object", "null"] },
            "user_info": { "type": ["object", "null"] }, "token_id": maybe, "session_id": maybe,
            "scopes": texts, "servers": { "additionalProperties": { "$ref": "#/components/schemas/Server" } },
        }),
    );
    let token = object(
        &["id", "kind", "scopes", "created"],
        json!({
            "user": text, "service": text, "id": text, "kind": { "const": "api_token" },
            "roles": texts, "scopes": texts, "created": text, "last_activity": maybe,
            "expires_at": maybe, "note": text, "session_id": maybe, "oauth_client": text,
            "token": text,
        }),
    );
    let group = object(
        &["kind", "name"],
        json!({
            "kind": { "const": "group" }, "name": text, "roles": texts, "users": texts,
            "properties": { "type": "object" },
        }),
    );
    // OAuth's errors have its own form.
    let error = json!({
        "type": "object",
        "properties": { "status": { "type": "integer" }, "message": maybe, "error": text },
        "anyOf": [{ "required": ["message"] }, { "required": ["error"] }],
    });
    let items = |schema: &str| json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{schema}") } });
    json!({
        "Server": server,
        "User": user,
        "Users": items("User"),
        "Token": token,
        "Tokens": object(&["api_tokens"], json!({ "api_tokens": items("Token") })),
        "Group": group,
        "Groups": items("Group"),
        "Object": { "type": "object" },
        "Error": error,
    })
}
