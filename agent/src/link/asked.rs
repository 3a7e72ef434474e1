//! Carries the hub's questions about servers to the driver, and the answers back. Beside the session,
//! which does not wait for them.

use std::convert::Infallible;
use std::time::Duration;

use berth_proto::link::HostAnswer;
use berth_proto::link::link_client::LinkClient;
use berth_proto::link::question::What;
use futures::stream;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Channel;

use crate::driver::Input;

/// Longer than this nobody looks at an empty page.
const LIMIT: Duration = Duration::from_secs(5);

/// A kernel that is tried imports what it needs from a slow file system.
const TRIAL_LIMIT: Duration = Duration::from_secs(30);

/// Answers for as long as the connection lives; a hub that knows no such questions is left alone.
pub async fn answer(client: LinkClient<Channel>, driver: &mpsc::Sender<Input>) -> Infallible {
    if let Err(status) = answer_all(client, driver).await {
        tracing::debug!(status = status.message(), "the hub asks nothing more");
    }
    // Only the session itself can end a session.
    std::future::pending().await
}

async fn answer_all(
    mut client: LinkClient<Channel>,
    driver: &mpsc::Sender<Input>,
) -> Result<(), tonic::Status> {
    let (send, answers) = mpsc::channel(1);
    let next = async |mut answers: mpsc::Receiver<_>| Some((answers.recv().await?, answers));
    let mut questions = client.asked(stream::unfold(answers, next)).await?.into_inner();
    while let Some(question) = questions.message().await? {
        let number = question.number;
        let limit = match question.what {
            Some(What::TryKernel(_)) => TRIAL_LIMIT,
            _ => LIMIT,
        };
        let (reply, answer) = oneshot::channel();
        if driver.send(Input::Asked(question, reply)).await.is_err() {
            break;
        }
        let send = send.clone();
        // A trial takes a while, and the next question does not wait for it.
        tokio::spawn(async move {
            let answer = match tokio::time::timeout(limit, answer).await {
                Ok(Ok(Ok(answer))) => HostAnswer { number, ..answer },
                Ok(Ok(Err(trouble))) => HostAnswer { number, trouble, ..HostAnswer::default() },
                Ok(Err(_)) | Err(_) => {
                    let trouble = format!("this host found no answer within {} s", limit.as_secs());
                    HostAnswer { number, trouble, ..HostAnswer::default() }
                }
            };
            // The hub may be gone.
            let _ = send.send(answer).await;
        });
    }
    Ok(())
}
