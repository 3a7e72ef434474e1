//! Pages of the tour that one comes to through a door or by an act: a refused form, its result.

use axum::http::StatusCode;

use super::Page;
use crate::web::pages::tests::site::Site;

/// A drain that has begun, so that it has a page.
pub async fn prepare(site: &Site) {
    let form = "intent=draining&reason=new+disks&by=7200&hold=yes";
    let done = site.post("erin", "/hub/admin/hosts/wn4/intent", form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text());
}

/// The pages.
pub fn pages(site: &Site) -> Vec<Page> {
    let door = |client: &str, redirect: &str| {
        format!(
            "/hub/api/oauth2/authorize?client_id={client}&redirect_uri={redirect}&response_type=code"
        )
    };
    let fleet = site.hub.fleet.fleet();
    let version = format!("/hub/admin/config/versions/{}", fleet.settings.version);
    vec![
        ("enter", "erin", door("jupyterhub-user-alice", "/user/alice/oauth_callback")),
        ("consent", "erin", door("service-news", "https://news.example/oauth_callback")),
        // Nobody looks at anything as this person any more.
        ("logout", "newcomer", "/hub/logout".into()),
        ("forbidden", "alice", "/hub/admin/hosts".into()),
        ("drained", "erin", "/hub/admin/drains/d-0001".into()),
        ("config-version", "erin", version),
        ("gpu", "erin", "/hub/admin/gpus/GPU-gpu1-0".into()),
        ("floor-without", "erin", "/hub/admin/floor?without=wn1".into()),
        ("floor-back", "erin", "/hub/admin/floor?by=age&back=5".into()),
        ("servers-extend", "erin", "/hub/admin/servers/extend?q=user:bob".into()),
        ("servers-extended", "erin", "/hub/admin/servers/extend?q=user:bob".into()),
        ("spawn-others", "carol", "/hub/spawn?opt-profile=gpu".into()),
        ("spawn-refused", "dave", "/hub/spawn".into()),
        ("token-refused", "alice", "/hub/token".into()),
        ("notice-refused", "erin", "/hub/admin/notices".into()),
        ("maintenance-refused", "erin", "/hub/admin/notices".into()),
        ("kernel-tried", "alice", "/hub/kernels".into()),
    ]
}

/// One of a training that is on.
pub const TRAINING: (&str, &str, &str) = ("training-refused", "erin", "/hub/trainings/school");

/// What is done on a page before it is looked at.
pub fn act(name: &str) -> Option<&'static str> {
    Some(match name {
        "servers-extended" => "send(form('/hub/admin/servers/extend'))",
        "spawn-refused" => {
            "const it = form('/hub/spawn/'); type(it, { name: 'Not a name' }); send(it)"
        }
        "token-refused" => {
            "const it = form('/hub/token'); type(it, { note: 'nightly', scopes: 'nonsense' }); send(it)"
        }
        "notice-refused" => {
            "const it = form('/hub/admin/notices'); type(it, { to: 'everyone', en: 'Closed.' }); send(it)"
        }
        "maintenance-refused" => {
            "const it = form('/hub/admin/notices/maintenance');
             type(it, { hosts: 'wn77', reason: 'new disks', from: '2199-05-12T14:00', to: '2199-05-12T18:00' });
             send(it)"
        }
        "kernel-tried" => "send(form('/hub/kernels'))",
        "training-refused" => {
            "const it = document.querySelector('#why').form; type(it, { reason: ' ' }); send(it)"
        }
        _ => return None,
    })
}

/// What those scripts use. A form is sent as it is, whatever its fields demand.
pub const TOOLS: &str = "
    const form = (action) => {
        const all = [...document.forms].filter((it) => it.method === 'post');
        const path = (it) => it.getAttribute('action');
        return all.find((it) => path(it) === action) ?? all.find((it) => path(it).startsWith(action));
    };
    const type = (form, values) => {
        for (const [name, value] of Object.entries(values)) form.elements.namedItem(name).value = value;
    };
    const send = (form) => { window.isLeft = true; form.submit(); };";
