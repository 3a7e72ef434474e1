//! What the agent says of work in real containers: the facts behind the twenty scenarios of
//! `hub/core/tests/life/scenarios.rs` that can be produced here, seen from outside.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;

use berth_common::link::{Kernels, Observed, ObservedState, Report, Terminals, Usage};
use berth_common::{ByteCount, ServerId};

use super::docker::{IMAGE, docker, image};
use super::site::{Ca, Host, Hub, run, server_id, spec};

/// JupyterLab, as `examples/image/build` makes it.
const NOTEBOOK: &str = "berth/notebook:6";

/// Thousandths of a processor that a loop gets even where many others want it, and an idle server
/// never uses.
const BUSY: u32 = 50;

async fn site() -> (Hub, Host) {
    image();
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    (hub, host)
}

fn of<'a>(report: &'a Report, server: &ServerId) -> &'a Observed {
    report.engine.iter().flatten().find(|one| one.server == *server).unwrap()
}

fn name(host: &Host, server: &ServerId) -> String {
    format!("berth.{}.{server}", host.name)
}

/// Sends without an end, so many bytes a second to each who asks; its port.
fn source(bytes_s: usize) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let head = b"HTTP/1.0 200 OK\r\n\r\n";
                let mut sent = stream.write_all(head);
                let part = vec![b'x'; bytes_s / 20];
                while sent.is_ok() {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    sent = stream.write_all(&part);
                }
            });
        }
    });
    port
}

/// A server whose script runs beside what answers.
fn starts(hub: &Hub, host: &Host, user: &str, script: &str) -> ServerId {
    let (server, home) = (server_id(), host.home(user, 20_001, 30_001));
    let mut wanted = spec(IMAGE, &home);
    let script = format!("{script}\nexec httpd -f -p 8888 -h /www");
    wanted.command = ["sh", "-c", &script].map(str::to_owned).to_vec();
    hub.say(&server, 1, run(wanted));
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_processors_and_data_are_seen_from_outside() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let (slow, fast) = (source(40_000), source(6 << 20));
    let get = |port: u16| format!("wget -q -O - http://$(route):{port}/ >/dev/null");
    // The gateway is the first address of the network: the one way out that the image knows of.
    let route = "route() { a=$(cat /proc/net/route | while read i d g r; do
                   test $d = 00000000 && echo $g; done); printf '%d.%d.%d.%d' \
                   0x${a#??????} 0x$(b=${a#????}; echo ${b%??}) 0x$(b=${a#??}; echo ${b%????}) 0x${a%??????}; }";
    let spin = "i=0; while test $i -lt 3000; do i=$((i + 1)); done";
    // What runs beside the notebook server, and in a terminal of its own.
    let cases = [
        (4, "", Some(format!("{route}; {}", get(slow).replace("/dev/null", "got")))),
        (5, "", Some(format!("while :; do sh -c '{spin}'; done"))),
        (6, "while :; do :; done &", None),
        (8, &format!("{route}; {} &", get(fast)), None),
        (13, "", Some("exec sh".to_owned())),
        (14, "", Some("sleep 100000".to_owned())),
        (15, "echo a >file", Some("tail -f file".to_owned())),
        (16, "while :; do sleep 1; done &", None),
    ]
    .map(|(number, beside, terminal)| {
        (number, starts(&hub, &host, &format!("u{number}"), beside), terminal)
    });
    for (_, server, terminal) in &cases {
        hub.sees(server, "ready", |state| *state == ObservedState::Ready).await;
        if let Some(script) = terminal {
            docker(&["exec", "-dt", &name(&host, server), "sh", "-c", script]);
        }
    }
    let server = |number: i32| &cases.iter().find(|case| case.0 == number).unwrap().1;
    // One after the other: on a busy machine they may not all get on at the same moment.
    let does = |number: i32, wanted: fn(Usage) -> bool| {
        let server = server(number).clone();
        move |report: &Report| wanted(of(report, &server).usage)
    };
    let works = |usage: Usage| usage.terminals == Some(Terminals { open: 1, working: 1 });
    hub.heard("wget at work", does(4, works)).await;
    hub.heard("a compiler at work", does(5, works)).await;
    hub.heard("a busy processor", does(6, |usage| usage.cpu_milli >= BUSY)).await;
    let copies = |usage: Usage| usage.network_bytes_s.is_some_and(|bytes| bytes > 1 << 20);
    hub.heard("a copy", does(8, copies)).await;
    // A terminal that just opened is at work for a moment: its program was loaded.
    let rests = |usage: Usage| {
        usage.terminals == Some(Terminals { open: 1, working: 0 })
            && usage.cpu_milli < BUSY
            && usage.network_bytes_s.is_some_and(|bytes| bytes < 1 << 20)
    };
    hub.heard("a prompt that waits", does(13, rests)).await;
    hub.heard("a sleep", does(14, rests)).await;
    hub.heard("a watched file", does(15, rests)).await;
    hub.heard("a beat without work", does(16, |usage| usage.cpu_milli < BUSY)).await;
    let without = [6, 8, 16];
    let looked = |report: &Report, number| of(report, server(number)).usage.terminals;
    let all = |report: &Report| without.iter().all(|number| looked(report, *number).is_some());
    let report = hub.heard("looks at those without a terminal", all).await;
    for number in without {
        assert_eq!(looked(&report, number), Some(Terminals { open: 0, working: 0 }), "{number}");
    }
}

/// Starts a kernel and has it run a cell, as a browser would; it goes on when the browser is gone.
const CELL: &str = r#"
import json, sys, time, urllib.request
from jupyter_client import BlockingKernelClient, find_connection_file
ask = urllib.request.Request("http://127.0.0.1:8888/user/alice/api/kernels", b"{}",
                             {"Authorization": "token a-secret"})
kernel = json.load(urllib.request.urlopen(ask))["id"]
while True:
    client = BlockingKernelClient(connection_file=find_connection_file(f"kernel-{kernel}.json"))
    client.load_connection_file()
    client.start_channels()
    try: client.wait_for_ready(timeout=60); break
    except RuntimeError: client.stop_channels()  # it has not begun to beat
client.execute(sys.argv[1])
while client.get_iopub_msg(timeout=60)["content"].get("execution_state") != sys.argv[2]: pass
print(kernel)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_sleeps_is_busy_and_one_that_ended_is_not() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    docker(&["image", "inspect", NOTEBOOK]); // examples/image/build 6
    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
    let mut wanted = spec(NOTEBOOK, &home);
    wanted.origin.memory = ByteCount(1 << 30);
    // JupyterHub's own start asks a hub for every visitor; the list of kernels is the same.
    let command = [
        "jupyter",
        "server",
        "--ip=0.0.0.0",
        "--port=8888",
        "--ServerApp.base_url=/user/alice/",
        "--IdentityProvider.token=a-secret",
    ];
    wanted.command = command.map(str::to_owned).to_vec();
    hub.say(&server, 1, run(wanted));
    let says = |wanted: fn(Kernels) -> bool| {
        let server = server.clone();
        move |report: &Report| {
            let mut all = report.engine.iter().flatten().filter(|one| one.server == server);
            all.any(|one| one.usage.kernels.is_some_and(wanted))
        }
    };
    let none = |kernels: Kernels| kernels == Kernels { busy: 0, quiet_ms: None };
    hub.heard("no kernel", says(none)).await;

    let cell = |code: &str, until: &str| {
        docker(&["exec", &name(&host, &server), "python3", "-c", CELL, code, until])
    };
    let sleeps = cell("import time; time.sleep(100000)", "busy");
    hub.heard("a kernel that sleeps", says(|kernels| kernels.busy == 1)).await;

    cell("1 + 1", "idle");
    docker(&[
        "exec",
        &name(&host, &server),
        "python3",
        "-c",
        "import sys, urllib.request as r; r.urlopen(r.Request(sys.argv[1], method='DELETE', \
         headers={'Authorization': 'token a-secret'}))",
        &format!("http://127.0.0.1:8888/user/alice/api/kernels/{sleeps}"),
    ]);
    let idle = |kernels: Kernels| kernels.busy == 0 && kernels.quiet_ms.is_some();
    hub.heard("a kernel whose cell has ended", says(idle)).await;
}
