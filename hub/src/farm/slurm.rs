//! Slurm's jobs, by its own `squeue`, run as the hub's user.

use std::process::Stdio;
use std::time::Duration;

use berth_common::{ByteCount, ServerId};
use tokio::process::Command;

use super::{Job, read_mark};

/// A controller that is down lets its clients wait for a long time.
const WITHIN: Duration = Duration::from_secs(30);
/// What is asked for. What people choose themselves comes last, so that it shifts nothing.
const FORMAT: &str = "JobID:20|,UserName:64|,State:20|,NumCPUs:12|,tres-alloc:160|,Reason:60|,\
                      wckey:64|,Comment:128|,Name:128|";

/// All jobs that carry a server's mark: the server, the job's owner, and the job.
///
/// # Errors
/// Why Slurm did not say, for people.
pub async fn jobs(squeue: &[String]) -> Result<Vec<(ServerId, String, Job)>, String> {
    let Some((program, arguments)) = squeue.split_first() else { return Ok(Vec::new()) };
    let asked = Command::new(program)
        .args(arguments)
        .args(["--noheader", "--Format", FORMAT])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let answer = tokio::time::timeout(WITHIN, asked).await;
    let answer = answer
        .map_err(|_| format!("Slurm did not answer within {} s", WITHIN.as_secs()))?
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        return Err(
            last.map_or_else(|| answer.status.to_string(), |it| it.chars().take(200).collect())
        );
    }
    Ok(String::from_utf8_lossy(&answer.stdout).lines().filter_map(read).collect())
}

fn read(line: &str) -> Option<(ServerId, String, Job)> {
    let mut parts = line.split('|').map(str::trim);
    let mut part = || parts.next();
    let (id, owner, state, cores) = (part()?, part()?, part()?, part()?);
    let (granted, reason, key, comment, name) = (part()?, part()?, part()?, part()?, part()?);
    let (server, _) = read_mark(key).or_else(|| read_mark(comment))?;
    let job = Job {
        id: id.to_owned(),
        name: name.to_owned(),
        state: state.to_lowercase(),
        cores: cores.parse().ok()?,
        memory: granted.split(',').find_map(|it| memory(it.strip_prefix("mem=")?)),
        reason: (!matches!(reason, "" | "None")).then(|| reason.to_owned()),
    };
    Some((server, owner.to_owned(), job))
}

/// `500M`, as Slurm writes it: in binary multiples, perhaps with a fraction.
fn memory(text: &str) -> Option<ByteCount> {
    let (number, factor) = match text.chars().last()? {
        'K' => (text.strip_suffix('K')?, 1_u64 << 10),
        'M' => (text.strip_suffix('M')?, 1 << 20),
        'G' => (text.strip_suffix('G')?, 1 << 30),
        'T' => (text.strip_suffix('T')?, 1 << 40),
        _ => (text, 1 << 20),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let hundredths: String = format!("{part}00").chars().take(2).collect();
    let hundredths =
        whole.parse::<u64>().ok()?.checked_mul(100)? + hundredths.parse::<u64>().ok()?;
    Some(ByteCount(hundredths.checked_mul(factor)? / 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
12        |ann    |RUNNING   |8    |cpu=8,mem=1.50G,node=2,billing=8  |None   |berth-0000000000000007-3   |(null)  |dask-worker  |
13        |ann    |PENDING   |1    |N/A   |Resources   |(null)   |berth-0000000000000007-3  |a name | of two parts  |
14        |ann    |RUNNING   |1    |cpu=1,mem=100M   |None   |(null)   |(null)  |of nobody  |
slurm says something else";

    #[test]
    fn jobs_with_a_mark_are_read() {
        let read: Vec<_> = LINES.lines().filter_map(read).collect();
        let [(server, owner, first), (_, _, second)] = &read[..] else { panic!("{read:?}") };
        assert_eq!((server, owner.as_str()), (&ServerId::from_random(7), "ann"));
        assert_eq!((first.id.as_str(), first.state.as_str(), first.cores), ("12", "running", 8));
        assert_eq!((first.memory, &first.reason), (Some(ByteCount(3 << 29)), &None));
        assert_eq!(second.reason.as_deref(), Some("Resources"));
        assert_eq!((second.memory, second.name.as_str()), (None, "a name"));
    }

    #[tokio::test]
    async fn a_silent_slurm_is_said_in_its_own_words() {
        let command = |script: &str| ["sh", "-c", script].map(str::to_owned).to_vec();
        let down = "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1";
        let said = jobs(&command(down)).await.unwrap_err();
        assert_eq!(said, "slurm_load_jobs error: Unable to contact slurm controller");
        let missing = jobs(&["/nowhere/squeue".to_owned()]).await.unwrap_err();
        assert!(missing.contains("cannot be run"), "{missing}");
        assert_eq!(jobs(&[]).await, Ok(Vec::new()));
    }
}
