//! Reason codes: stable dotted words, the same on pages, in the API, the CLI, logs and metrics.
//!
//! Adding one is a minor release, changing one a major release.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Declares the codes with the sentence and the remedy that people read.
macro_rules! reasons {
    ($($name:ident $code:literal $text:literal $remedy:literal;)*) => {
        /// Why something was placed, waits, was refused, failed or stopped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "&'static str", try_from = "String")]
        pub enum Reason {
            $(#[doc = $text] $name,)*
        }

        impl Reason {
            /// Every code there is, in the order of the manual.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),*];

            /// The stable dotted word.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// One sentence for people, without the numbers of the case.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What the person who reads it can do about it; empty when there is nothing to do.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

reasons! {
    PlacedNow "placed.now" "A host has room." "";
    PlacedFromQueue "placed.from_queue" "A host had room when the request's turn came." "";
    PlacedOverflow "placed.overflow" "A host of the training's pool is down; another pool helps out." "";

    RefusedAccountUnknown "refused.account.unknown" "This account is not known here." "Ask the administrators to create it.";
    RefusedAccountInvalid "refused.account.invalid" "This account is not valid at the moment." "Ask the people who manage accounts at your site.";
    RefusedAccountUnavailable "refused.account.unavailable" "Nobody can say at the moment whether this account is valid." "Try again in a few minutes; the administrators see this too.";
    RefusedRestoring "refused.restoring" "The hub was restored from a backup and does not know yet what runs." "Try again in a minute; what runs goes on.";
    RefusedDenied "refused.access.denied" "This account may not start servers here." "Ask the contact of your group.";
    RefusedProfile "refused.profile.unknown" "There is no such profile or choice." "Choose one of the profiles on the New server page.";
    RefusedAccess "refused.access.profile" "This profile is given to certain people only." "Ask for access, or choose another profile.";
    RefusedPoolClosed "refused.access.pool_closed" "The pool is open only while a training is on." "Come back when the training is on, or choose another profile.";
    RefusedTooBig "refused.too_big" "More than this profile gives." "Ask for less, or choose another profile.";
    RefusedNeverFits "refused.never_fits" "No host of this pool is that large." "Ask for less memory.";
    RefusedServers "refused.quota.servers" "The limit of servers for one person is reached." "Stop one of your servers first.";
    RefusedMemory "refused.quota.memory" "The limit of memory for one person is reached." "Stop one of your servers, or ask for less.";
    RefusedGpus "refused.quota.gpu" "The limit of GPUs for one person is reached." "Stop a server that holds a GPU first.";
    RefusedGpuHours "refused.budget.gpu_hours" "The GPU hours of this period are used up." "Wait until the period has moved on, or use a profile without GPU.";
    RefusedGibHours "refused.budget.gib_hours" "The memory hours of this period are used up." "Wait until the period has moved on.";
    RefusedNotRunning "refused.resize.not_running" "Only the memory of a server that runs can be changed." "Start it with the memory you want.";
    RefusedResizing "refused.resize.under_way" "Its memory is being changed already." "Wait until that is done.";
    RefusedInUse "refused.resize.in_use" "The server uses too much for that." "Ask for more, or free memory in it first: shut down kernels that you do not need.";
    RefusedNoRoom "refused.resize.no_room" "Its host has no room for that." "Ask for less, or stop it and start it with more: it may then run on another host.";
    RefusedNotClaimed "refused.queue.not_claimed" "Its place was held, and nobody came." "Start it again and keep its page open.";
    RefusedMaxWait "refused.queue.max_wait" "It waited as long as the site lets a request wait." "Ask again, perhaps for less.";

    RefusedRehearsal "refused.rehearsal" "There is no room that nobody else waits for." "Rehearse with fewer servers, or when fewer people work.";
    RefusedExtension "refused.extension.used_up" "It cannot be put off any further." "Work in it: any activity moves the stop. Or ask the administrators.";

    WaitMemoryReserved "wait.memory.reserved" "All memory is promised to running servers." "It starts by itself as soon as somebody stops; asking for less memory may start sooner.";
    WaitMemoryUsed "wait.memory.used" "The memory really free is too little." "It starts by itself as soon as memory becomes free.";
    WaitMemoryGrowth "wait.memory.growth" "The servers there could not all grow any more." "It starts by itself as soon as memory becomes free.";
    WaitKeptForGpus "wait.memory.kept_for_gpus" "What is left there is kept for servers with a GPU." "It starts by itself as soon as somebody stops.";
    WaitCpu "wait.cpu" "All processors are promised to running servers." "It starts by itself as soon as somebody stops.";
    WaitFarmPorts "wait.farm_ports" "All ports that the compute farm reaches are in use." "It starts by itself as soon as somebody stops.";
    WaitGpuBusy "wait.gpu.busy" "All suitable GPUs are in use." "It starts by itself as soon as one is given back.";
    WaitNoHost "wait.host.none_ready" "No host is ready." "The administrators see this too; it starts by itself when a host is back.";
    WaitOrder "wait.order" "Others asked first." "It starts by itself in its turn.";
    WaitPlaceHeld "wait.place_held" "A place is held for its owner." "Open its page: it starts at once.";

    MountSick "mount.sick" "A space of the host does not answer." "The administrators see this too; other hosts are used meanwhile.";
    MountAbsent "mount.absent" "A space is not there on the host." "Ask the administrators to mount it there.";
    HostJoining "host.joining" "The host has not reported yet." "Check berth-agent on that host.";
    HostMismatch "host.mismatch" "The host has less than hosts.toml or hosts.d declares." "Repair the host, or write what it really has into its file.";
    HostCordoned "host.cordoned" "The host takes nothing new." "";
    HostDraining "host.draining" "The host is being emptied." "";
    HostDrained "host.drained" "The host was emptied." "";
    HostClosed "host.closed" "The host is for trainings, and none is on." "";
    HostNotAllowed "host.not_allowed" "A rule sends this person's servers elsewhere." "";
    HostNoGpu "host.no_gpu" "The host has no suitable GPU." "";
    HostNoFarm "host.no_farm" "The host gives no ports to the compute farm." "";
    HostForGpus "host.for_gpus" "The host is for servers with a GPU." "";
    GpuBroken "gpu.broken" "A GPU of the host is set aside." "Look at that GPU: it is sick, or used by something else.";
    GpuUnused "gpu.unused" "Its GPU is held and not used." "Ask its owner; the rules of this site do not stop it by themselves.";
    HostLost "host.lost" "The host does not report." "Check berth-agent and the network on that host.";
    HostEngineDown "host.engine_down" "Docker does not answer on the host." "Check dockerd on that host.";
    HostNotInPool "host.not_in_pool" "The host serves another pool." "";
    HostUndeclared "host.undeclared" "The host is not declared in hosts.toml or hosts.d." "Declare it, or revoke its certificate.";
    HostDoubled "host.doubled" "Two agents report as this host." "Stop one of them: two machines must not share a name.";

    FailedImage "failed.image.absent" "The image is not on the host." "Choose another image, or ask the administrators to provide it.";
    FailedMount "failed.mount" "A space that the server needs is not there." "Tell the administrators; it is not your fault.";
    FailedContainer "failed.container" "The container could not be started." "Try again; if it fails again, tell the administrators.";
    FailedPolicy "failed.policy" "The host's own rules forbid it." "Tell the administrators: the rules in the agent's [limits] and the request do not agree.";
    FailedGpu "failed.gpu" "A GPU of the server cannot be used." "Start it again: it will get another one. The administrators see which one is set aside.";
    FailedGpuEngine "failed.gpu.engine" "The host cannot give GPUs to containers." "Tell the administrators: the NVIDIA Container Toolkit of that host and Docker do not agree.";
    FailedAccount "failed.account" "The account on the host differs from the hub's." "Tell the administrators.";
    FailedNoAnswer "failed.no_answer" "JupyterLab did not answer in time." "Look at the log; a broken file in your HOME can be the cause. Then try again.";
    FailedExited "failed.exited" "The server ended while it was starting." "Look at the log; a broken file in your HOME can be the cause. Then try again.";

    StoppedUser "stopped.user" "Stopped by its owner." "";
    StoppedAdmin "stopped.admin" "Stopped by an administrator." "";
    StoppedInstructor "stopped.instructor" "Stopped by an instructor of the training." "Start it again; nothing in your spaces is lost.";
    StoppedAccount "stopped.account" "Stopped because its owner's account is no longer valid." "Ask the people who manage accounts at your site.";
    StoppedIdle "stopped.idle" "Stopped: nothing was going on in it." "Start it again; nothing in your spaces is lost.";
    StoppedAge "stopped.age" "Stopped: it has run as long as its profile allows." "Start it again; nothing in your spaces is lost.";
    StoppedGpuUnused "stopped.gpu_unused" "Stopped: its GPU was held and not used." "Start it again without a GPU, or when you need one.";
    StoppedDrain "stopped.drain" "Stopped because its host is being emptied." "Start it again; it will run on another host.";
    StoppedTraining "stopped.training_end" "Stopped: its training is over." "Nothing in your spaces is lost; start another profile to go on.";
    StoppedMemory "stopped.memory" "Stopped: it was idle, and the memory of its host was running out." "Start it again; it will run where there is room. Nothing in your spaces is lost.";
    StoppedRehearsal "stopped.rehearsal" "Stopped: it was there for a rehearsal only." "";
    FailedHomeFull "failed.home.full" "HOME is full, or its quota is used up." "Delete or move files there, then start again.";
    FailedAgent "failed.agent" "The agent on the host could not do it." "Try again; if it fails again, tell the administrators.";
    StoppedCrash "stopped.crash" "The server ended by itself." "Start it again; if it happens again, tell the administrators.";
    StoppedOom "stopped.oom" "The server used all its memory and was ended." "Start it again with more memory.";
    StoppedHostRestarted "stopped.host_lost" "The host was restarted." "Start it again; it may run on another host.";
}

impl From<Reason> for &'static str {
    fn from(reason: Reason) -> Self {
        reason.code()
    }
}

/// The text is no reason code of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a reason code")]
pub struct UnknownReason;

impl FromStr for Reason {
    type Err = UnknownReason;
    fn from_str(code: &str) -> Result<Self, UnknownReason> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code).ok_or(UnknownReason)
    }
}

impl TryFrom<String> for Reason {
    type Error = UnknownReason;
    fn try_from(code: String) -> Result<Self, UnknownReason> {
        code.parse()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_survive_the_round_trip() {
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.code().parse(), Ok(*reason));
            assert!(
                !Reason::ALL[..i].iter().any(|other| other.code() == reason.code()),
                "{reason}"
            );
        }
    }
}
