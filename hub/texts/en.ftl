### The texts of the pages in English. Those of reason codes stand with the codes, in
### common/src/reason.rs.

## The frame

skip-to-content = Skip to the content
nav-main = Main
nav-home = My servers
nav-new = New server
nav-usage = Usage
nav-help = Help
nav-tokens = Tokens
nav-servers = All servers
nav-floor = Floor
nav-hosts = Hosts
nav-queue = Queue
logged-in-as = Logged in as
log-out = Log out
log-out-ask = Log out?
log-out-servers = Your servers go on running.
footer = Language and theme
language = Language
theme = Theme
theme-system = As the system
theme-light = Light
theme-dark = Dark
live-lost = The hub is restarting or the network is away. Reconnecting…
refresh = Refresh

## Words

ago = { $span } ago
just-now = just now
less-than-a-minute = less than a minute
my-server = My server
servers =
    { $count ->
        [one] { $count } server
       *[other] { $count } servers
    }
gpus =
    { $count ->
        [one] { $count } GPU
       *[other] { $count } GPUs
    }
state-waiting = waiting
state-starting = starting
state-running = running
state-unreachable = unreachable
state-stopping = stopping
state-ended = ended
sign-notebook = the notebook server's report
sign-browser = a browser
sign-kernel = a busy kernel
sign-terminal = a terminal
sign-cpu = use of the processor
sign-gpu = use of the GPU
sign-network = data that moves
sign-cluster = a busy Dask cluster

## Login

log-in = Log in
log-in-lead = Your notebooks, on the machines of your site.
log-in-or-password = Or with a password of this site:
user-name = User name
login-wrong = Invalid username or password.
login-too-many = Too many tries. Try again in { $seconds } seconds.
login-no-passwords = Nobody logs in by password here.
login-account = { $reason } { $why } { $remedy }
login-unavailable = The hub cannot log anybody in at the moment. Try again in a minute.
login-no-cookie = Your browser sent no cookie; allow cookies for this site and try again.
login-not-now = Not at the moment
login-again = Log in again
login-not = You are not logged in
password = Password

## Home

home-lead = Closing the tab does not stop a server.
account-lapsed = Your account is no longer valid. { $why }
on-host = on { $host }
memory-used = { $used } of memory used
memory-limit = limit { $limit }
memory-peak = at most { $peak } so far
gpu-busy = GPU { $model }: { $busy } % busy
gpu-unknown = GPU { $model }: its use is not known
gpu-memory = { $used } of { $total } used
out-of-memory = Out of memory.
out-of-memory-next = What it had computed is lost; the server runs on.
out-of-memory-more = Give it more memory below, then start the kernel again.
killed-process = a process
killed-kernel = { $name } (kernel { $kernel })
killed-notebook = { $name } (notebook { $notebook })
killed-by-host = { $who } was killed: the host had no memory left (the server had used { $highest } of its { $limit })
killed-by-limit = { $who } was killed: the server had used all its { $limit } of memory (seen: { $highest })
space-left-out = Something is missing.
memory-lent = It had nearly used up its { $own } of memory, so its host lends it { $lent } until { $time }. Free some, or ask for more.
resize-under-way = Its memory is being changed to { $memory }.
resize-refused = Its memory stays { $memory }:
host-silent = Its host has not reported for { $span }.
host-silent-next = As far as anybody knows the server runs on, and nothing of it is stopped or started twice. The administrators see this too.
queue-place = Place { $place } in the queue.
held-title = A place is held for you until
held-next = Take it and your server starts at once. If nobody takes it, it goes to the next in the queue.
held-take = Take the place
held-pass = Let it pass
held-tab = A place is held for you
held-tell = A place is held for { $server }
held-spoken = Your turn has come: a place is held for you.
held-mail-subject = A place is held for "{ $server }" until { $until }
held-mail-text =
    Your notebook server "{ $server }" ({ $profile }) waited for a place, and its turn has come.

    The place is held for you until { $until }. Open the page below and the server starts at once. If nobody comes, the place goes to the next in the queue, and nothing else happens.
last-log = Last lines of its log
ended-since = ended { $span } ago
state-since = { $state } for { $span }
last-activity = last activity { $ago }
why-there = Why there?
why = Why?
change-memory = Change its memory
change-memory-to = Without a restart, to
change = Change
open = Open
show-progress = Show progress
leave-queue = Leave the queue
restart = Restart
stop = Stop
start-again = Start again like this
with-amount = With { $amount }
with-other-choices = With other choices
remove-from-list = Remove from this list
details-same = Ask for the same again
details-page = All about it, with its log
report-problem = Report a problem

## Its life

gpu-unused-since = Its GPU is held and not used since
gpu-unused-next = Others wait for it. Use it or extend the server to keep it; or go on with the same notebooks without a GPU. Your kernels are lost then, and your place in the queue for a GPU is kept.
gpu-unused-without = Stop it and go on without GPU
kept-alive-by = Kept alive by { $what }, { $ago }.
idle-since = Idle since
will-stop = Will stop
stops-without-activity = Without further activity it stops
extend = Extend by { $step } ({ $left } of { $of } left)
stop-soon-age = The server will stop: it has run as long as its profile allows.
stop-soon-gpu = The server will stop: its GPU is held and not used.
stop-soon-training = The server will stop: its training is over.
stop-soon-idle = The server will stop: nothing is going on in it.

## New server

spawn-others = Other servers
start-first = Start your first server
name-fixed = It will be called { $name }.
name-needed = Your main server is in use, so this one needs a name of its own.
spawn-lead = Choose what you need. The line below your choice says what would happen now; nothing starts before you press Start.
starting-for = You are starting a server for { $user }.
no-profile = There is nothing to choose yet: the administrators have not defined a profile.
memory = Memory
memory-of = { $amount } of memory
memory-at-most = At most { $amount } for you.
memory-suggested = Your last servers needed at most { $peak }: { $amount } is suggested.
gpu-count = GPUs
gpu-model = GPU model
gpu-model-any = Any
image = Image
name = Name
name-hint = Lower-case letters, digits and single hyphens, for example
name-give = Give it a name
name-empty = (empty: your main server)
name-more = For one more server beside your main one.
start = Start
start-my-server = Start my server
ask-access = Ask for access
verdict-now = Starts now
verdict-on = on { $host }.
verdict-waits = Would wait, place { $place }.
verdict-between = Probably { $from } to { $to }.
verdict-nearest = { $amount } would start now.
verdict-no = Not possible.
verdict-not-yours = Not for you.
verdict-by-group = It is given by group; those that have it: { $groups }.
verdict-by-name = It is given to certain people only.
verdict-participants = It is for those who take part in { $title }.
verdict-had = You had it until
verdict-ask = Ask the administrators for it.
verdict-closed = Closed.
verdict-closed-until = Closed until
verdict-not-on = { $title } is not on now.
verdict-over = { $title } is over.
verdict-opened-by = Only trainings use these machines; { $title } opens them for you then.
verdict-choose = Only trainings use these machines; { $title } is on: choose that.
verdict-trainings-only = Only trainings use these machines.
forecast-shared =
    { $others ->
        [0] Nobody else is on that host.
        [one] One other server is on that host.
       *[other] { $others } other servers are on that host.
    }
forecast-idle = Stops after { $span } without activity.
forecast-never = Nothing stops it but you.
forecast-quota = { $used } of your { $limit } of memory are then used.
copy-link = Link to this choice
copy-link-hint = it fills in the form and starts nothing

## Starting and waiting

waiting-title = Waiting for a place
waiting-place-before = Place
waiting-place-after = in the queue
waiting-your-place = Your place in the queue.
waiting-may-close = You may close this page.
waiting-for = Waiting for { $span }.
waiting-depends =
    { $count ->
        [one] One server there stops within { $span }, unless somebody comes back to it.
       *[other] { $count } servers there stop within { $span }, unless somebody comes back to them.
    }
waiting-depends-gpu =
    { $count ->
        [one] One server with a GPU stops within { $span }, unless somebody comes back to it.
       *[other] { $count } servers with a GPU stop within { $span }, unless somebody comes back to them.
    }
waiting-between = Half of such waits end after { $from } to { $to }.
waiting-nearest = A server with { $amount } would start now.
waiting-take-nearest = Leave the queue and ask for { $amount }
waiting-meanwhile = Take a server without GPU meanwhile
usual-time = Such a start usually takes { $seconds }; if it takes much longer, the step where it stands says why, or cancel it and try again.
starting-title = Starting your server
starting-silent = The host has not reported for { $span }.
starting-silent-unknown = The host has not reported.
starting-silent-next = The start goes on by itself when it reports again. Your server is not started a second time elsewhere, since it may be running there already.
ready-title = Your server is ready
open-it = Open it
stopping-title = Stopping
stopping-lead = { $title } is being stopped. A new start is possible as soon as nothing of it is left on its host.
failed-title = Your server did not start
try-again = Try again
try-again-soon = possible in a moment, when what is left is cleared away
not-running-title = Server not running
cancel-start = Cancel this start
how-host-chosen = How its host was chosen
step-done = : done
step-failed = : failed
step-todo = : not yet
step-not-accepted = Not accepted
step-accepted = Request accepted
step-waiting = Waiting for a host
step-host = Host chosen
step-host-named = Host chosen: { $host }
step-way = Opening the way to it
step-fetch = Image fetched
step-image = Image present
step-spaces = Your spaces checked
step-container = Container made
step-started = Container started
step-answers = JupyterLab answers
doing-fetch = Fetching the image, which takes minutes
fetch-percent = { $percent } % of it is here
doing-image = Looking for the image
doing-spaces = Checking your spaces
doing-container = Making the container
doing-started = Starting the container
doing-answers = Waiting for JupyterLab to answer
spoken-waits = Waiting in place { $place }: { $why }
spoken-step = { $step }.
spoken-silent = The host does not report at the moment.
spoken-ready = Your server is ready.
spoken-stops = The server is being stopped.
spoken-failed = The start failed: { $why }
spoken-ended = The server is not running.
placed-on = Placed on { $host }.

## A server's page

server = Server
sign-of-activity = Sign of activity
newest = Newest
keeps-it-alive = Keeps it alive
yes = yes
no-by-rules = no, by the site's rules
timeline = What happened to it
timeline-asked = Asked for
timeline-placed = Placed on { $host }
timeline-answers = It answers
timeline-ended = It ended
timeline-step = { $step }, { $seconds } s after that
timeline-killed = Out of memory: a process was killed
decisions = Decisions about it
queue-decisions = Decisions
all-decisions = Each with its explanation
environment = What it is
spaces = Its spaces beside HOME
read-only = read only
space-usable = usable
owner = Owner
profile = Profile
host = Host
generation = Starts so far
server-id = Number for the administrators

## A server that does not run

not-started-yet = { $title } was not started yet.
after-start-you-come = After the start you come to
start-it = Start it

## Why?

why-foreseen = Everything that would be looked at for this request now, and what would come of it. Nothing was started.
why-lead = Everything that was looked at for this request, and what came of it.
server-of = { $server } of { $user }
asked-for = Asked for
image-named = image { $image }
when = When
reason = Reason
decision = Decision
what-would-help = What would help
what-would-help-lead = Each of these was tried at that moment, on the hosts as they were.
ask-for-that = Ask for that
rules = Rules
passed = passed:
failed = failed:
hosts-possible =
    { $count ->
        [one] { $count } host possible; not possible:
       *[other] { $count } hosts possible; not possible:
    }
verdict = Verdict
because = Because
no-host-looked-at = No host was looked at: a rule had decided before.
hosts-order = Possible hosts stand in the order of preference; the first value that differs decides.
outcome-placed = placed
outcome-waits = waits
outcome-refused = refused
host-chosen = chosen
host-possible = possible
host-excluded = excluded
nearest-memory = A server with { $memory } would start now.
nearest-gpus =
    { $count ->
        [0] A server without GPU would start now.
        [one] A server with { $count } GPU would start now.
       *[other] A server with { $count } GPUs would start now.
    }
nearest-profile = Profile { $profile } would start now.
nearest-stop = It would start if you stopped one of your servers.
nearest-from = As asked it is possible from { $moment } on.
nearest-host = It would start if { $host } were back ({ $reason }).
waits-in-place = Waits in place { $place }: { $why }

## Errors

error-forbidden = This is not for your account
error-for-administrators = This page is for administrators.
error-not-for-you = This is not yours to do
error-scopes = This takes a role with the scopes { $scopes } over everything. Administrators hold them; roles.toml gives them to others.
error-not-possible-here = This is not possible here.
error-store = The hub cannot use its store at the moment. Running servers are not concerned.
error-wrong = Something went wrong
error-reload = Reload the page in a moment; if it stays, tell the administrators.
error-no-answer = Your server does not answer
error-no-answer-text = It may be starting, or busy. Reload the page in a moment, or look at it on your home page.
error-nothing-here = Nothing here
error-no-page = There is no such page.
error-not-yours = This page does not exist, or it is not for your account. If somebody gave you the link, ask that person.
error-cannot-be = That cannot be
error-upstream = It does not answer
error-upstream-next = What this page shows does not answer now. If it has just begun, try again in a few seconds.
error-go-back = { $why }. Go back and correct it.
error-memory = Memory: { $why }
error-gpus = GPUs: a number is needed
error-name = A name has at most 30 characters: a-z first, then a-z, 0-9 or single -, not - at the end.
error-amount = write an amount, e.g. 512 MB or 16 GB
xsrf-other-site = This request was sent by another site.
xsrf-missing = '_xsrf' argument missing: reload the page and try again.
xsrf-mismatch = XSRF token does not match; reload the page and try again.
error-form-too-large = This form is too large.
error-form-unread = This form could not be read. Go back, reload the page and try again.
error-hub = The hub has a problem
error-hub-text = Nothing was changed, and running servers are not touched. Try again in a moment; if it stays, tell the administrators.
error-loop = Redirect loop detected.
error-loop-text = Your server runs, but the proxy does not lead to it. Try again in a minute; if it stays, tell the administrators.
error-not-delivered = What you sent could not be delivered. Start the server, then try again.
error-not-extended = Its stop cannot be put off
extension-none = The stop of such servers cannot be put off.
extension-used-up =
    { $of ->
        [one] It was put off as often as possible already: once, by { $step }.
       *[other] It was put off as often as possible already: { $of } times, by { $step } each.
    }
extension-left =
    { $left ->
        [one] It can be put off once more, by { $step }.
       *[other] It can be put off { $left } more times, by { $step } each.
    }
extension-nothing = Nothing is going to stop it, so there is nothing to put off.
extension-not-running = It does not run.
resize-nearest = { $memory } would work now.
error-memory-stays = The memory stays as it is
error-still-running = It is still running
error-still-running-text = Stop the server first; then it can be removed from the list.

## Tokens

tokens-lead = A token lets a program act as you on this site: start and stop your servers, reach your notebooks. Treat it like a password.
token-new-is = Your new token. Copy it now: it is not shown again.
token-new = New token
token-full = You have as many tokens as one person may have. Revoke some first.
token-for = What is it for?
token-for-example = for example: nightly fit
token-ends-after = It ends after
days =
    { $count ->
        [one] { $count } day
       *[other] { $count } days
    }
one-year = 1 year
token-scopes = What may it do?
token-scopes-example = empty: all that you may; or scopes, e.g. read:servers!user
token-make = Make a token
token-none = You have no tokens.
token-of-browser = A server you opened in a browser
token-number = Token { $id }
token-column-for = For
token-column-made = Made
token-column-used = Last used
token-column-ends = Ends
actions = Actions
never = never
revoke = Revoke
token-no-scope = There is no scope “{ $scope }”.
token-not-held = You do not hold { $scopes } yourself, or only for what is yours, e.g. read:servers!user

## Usage

usage-title = Quota and usage
usage-lead = What you hold now, what you may hold, and what you have used.
usage-now = Now
usage-held = { $used } of { $limit }
usage-no-limit = { $used }, no limit
usage-servers = Servers
usage-gpus = GPUs
usage-window = In the last 30 days
gpu-hours = GPU hours
gpu-hours-used = GPU at work
gib-hours = GiB hours of memory
usage-given-by = given by
usage-past = Your requests of these 30 days
usage-past-none = You have asked for nothing in this time.
usage-csv = As a table (CSV)
budget-of = { $used } of { $limit } in { $window }

## Help

help-title = Help and rules of this site
help-lead = Made from the configuration that holds now.
help-idle = How long a server lives without activity
help-idle-never = does not stop for that
help-age = At most { $span } old
help-extend = You can put a stop off by { $step } at a time.
help-warn = You are warned { $leads } before.
help-closing = Closing the tab does not stop a server, and a computation goes on without a browser.
help-reasons = What the reasons mean
help-reasons-lead = Every wait, refusal and stop carries one of these codes. Give it to the administrators when you ask.
help-what = What it means
help-do = What you can do
help-nothing-to-do = There is nothing for you to do.
help-all-reasons = All reasons
help-profiles = Profiles

## Visits of other people

a-server = a server
visit = { $visitor } entered { $title }, because: { $reason }
visit-until = may stay until
visit-over = until
enter-tab = Enter a server
enter-title = Enter a server of { $owner }
enter-lead = The server { $server } belongs to { $owner }, who is told that you came, and why. You are let in for { $span }.
enter-trust = What { $owner } has written runs in your browser with your rights at this site: enter only a server that you trust.
enter-why = Why do you enter?
enter-example = for example: ticket 8812, the kernel does not start
enter-it = Enter
enter-not = Do not enter
enter-say-why = Say why: the owner reads it.
enter-span = A visit lasts from { $shortest } to { $longest }.

## What a service may do

consent-title = Log in to { $service }
consent-lead = { $service } asks to know who you are. It would be able to:
consent-you-are = You are
consent-elsewhere = It is at another site. You go on to
consent-allow = Allow
consent-deny = Do not allow
oauth-no-client = Invalid client_id parameter value.
oauth-no-redirect = Mismatching redirect URI.
oauth-not-yours = This server belongs to { $owner }.
oauth-no-service = You may not use { $service }. Ask the administrators.
consent-yours = { $what }: yours
consent-only = { $what }: { $filter }
consent-all = { $what }: yours and all others' that you may
scope-inherit = do all that you may do at this site
scope-self = do all that you may do with what is yours
scope-read-users-name = read the name
scope-read-users-groups = read the groups
scope-read-users-activity = read the time of the last activity
scope-users-activity = report activity
scope-read-users = read account, groups and activity
scope-read-servers = see servers
scope-start-servers = start servers
scope-delete-servers = stop servers
scope-servers = see, start and stop servers
scope-access-servers = use notebook servers, with all files that these can reach
scope-access-services = let you in
scope-read-tokens = list tokens
scope-tokens = make and revoke tokens
scope-read-shares = see shares

## Administrators: people, usage, files, audit, health

nav-people = People
nav-everybody = Usage of all
nav-config = Configuration
show = Show
show-all = Show all
nothing-fits = Nothing fits.
none = none
no = no
from-day = From
to-day = To
person = Person
people = People
group = Group
groups = Groups
no-group = without a group
state = State
last-seen = Last seen
administrator = administrator
administrator-question = Administrator
person-decisions = Decisions
server-hours = Server hours
audit-title = Audit
audit-lead = Who did what, from where, to whom, and why. What people do with their own servers stands in the decisions.
audit-actor = Who
audit-about = To whom or what
audit-action = Act
audit-from = From where
audit-none = Nobody has done anything yet that is recorded here.
audit-older = Older
health-title = Health
health-lead = What “berth doctor” says, looked at again every ten seconds while this page is open.
health-ok = well
health-warning = look at it
health-failed = does not work
health-check = Looked at
health-well = All well last
health-trouble = Trouble last
health-took = Answer after
health-found = Found
health-all-well = All is well
health-count = { $failed } that do not work, { $warnings } to look at
everybody-title = Usage of all
everybody-lead = What groups and people held between two days, both included; today as far as it is over.
everybody-by-user = By person
everybody-by-group = By group
everybody-by-waste = Most unused first
everybody-by-held = Most held first
held-hours = held
used-hours = really used
unused-part = Not used
everybody-only-group = Only this group
everybody-none = Nobody held anything on these days.
people-title = People
people-lead = Who is known here, and who of them runs what.
people-search = Name, group or uid
people-found = { $found } of { $all }
person-lead = The account as the directory knows it, and what the site’s files give it, with the line that gives it.
person-no-servers = No servers, running or ended.
account = Account
admin-here = yes, made one here
admin-by-roles = yes, by roles.toml
identities = Identities
sources = The directory’s sources
source-knows = knows the account
source-knows-not = does not know it
roles = Roles
may-ask = may ask
view-as = See home as they do
view-as-title = The home of { $name }
view-as-lead = As its owner sees it, to be looked at: its buttons do nothing, and to open a server you are asked why. That you looked is in the audit.
view-as-back = Back to the person
view-as-none = There is no server: the owner sees the form for a new one.
config-title = Configuration
config-lead = The site’s files: what is in force, what is on disk, and what was before.
config-reload = Use the files on disk
config-rollback = Back to the files before
config-from-disk = The files of the disk are in force
config-from-kept = The last good files are in force: those on disk could not be used when the hub began
config-rolled-back = Somebody went back to earlier files, which are in force until those on disk change
config-since = since
config-wrong = The files on disk are wrong; nothing of them is in force.
config-same = The disk says the same.
config-differs = The disk says something else.
config-problems = What is wrong with the files on disk
config-difference = { $file }: in force, and on disk
replay-button = Replay the last 7 days
replay-title = The last 7 days, replayed
replay-lead = Every request since, decided again on the hosts of its time as if the files on disk had been in force. Nothing is changed.
replay-none = No request was recorded.
replay-of =
    { $requests ->
        [one] { $requests } request.
       *[other] { $requests } requests.
    }
replay-left-off = There were more; the newest are left off.
replay-same = Each would get the answer that it got.
replay-accepted = refused then, accepted now
replay-refused = accepted then, refused now
replay-starts = waited then, start now
replay-waits = started then, wait now
replay-otherwise = refused for another reason
replay-then = Then
replay-with = With the files on disk
config-files = Files
config-file-lead = As it is in force.
config-history = What changed
config-history-none = No change is recorded.
again-title = Decide again
again-lead = The same request under the files of its time and those of now, on the hosts of its time; and what would come of it today. Nothing is changed.
again-not-kept = The hosts of its time are no longer kept.
again-when = On what
again-then = the hosts and files of its time
again-files-of-now = the hosts of its time, the files of now
again-now = today

## Administrators: Floor, hosts, servers, queue

last-sign = Last activity
pool = Pool
floor-was = As it was at
floor-lead = Every host, and all that is on it, now.
floor-ways = What the colours say
floor-colour-by = Colour by
floor-time = Time
floor-3-days = 3 days ago
now = now
floor-now = Now
floor-link = Link to this moment
floor-none-then = Nothing was recorded by then.
floor-no-host = No host is declared.
floor-pool = Pool { $name }
details = Details
floor-colours = Colours
floor-marks = Marks
mark-reserved = reserved for a server
mark-used = used by it now
mark-peak = its highest use
mark-promised = promised to the queue
mark-kept = kept free on the host
mark-gpu-free = GPU, free
mark-gpu-busy = GPU, held; how busy
mark-gpu-idle = GPU, held and idle
mark-gpu-broken = GPU, set aside
without-host = Without { $host }
no-such-host = There is no such host.
no-such-pool = There is no such pool.
with-hosts =
    { $count ->
        [one] With one more host like { $like }
       *[other] With { $count } more hosts like { $like }
    }
with-limits = With limits in { $pool } up to { $times } times the usable memory
waiting-then = Of { $waiting } who wait, { $then } would start; now { $today }.
largest-then = The largest server that could start in { $pool }: { $then }; now { $today }.
what-if = What if…
what-if-without = Without the host
what-if-count = More hosts
what-if-like = … like those of
what-if-pool = Limits in
what-if-times = … may reach, times the usable memory
what-if-look = Look
as-it-is = As it is
nothing-on-it = Nothing is on it.
find-room = { $fit } of { $of } servers would find room elsewhere.
nobody-moves = No server would have to go.
server-of-column = Server of
goes-to = Goes to
nowhere = nowhere
amount-free = { $amount } free
processors = { $count } processors
all-about-it = All about it
what-if-it-went = What if it went?
what-if-one-more = What if there were one more?
last-sign-short = Last sign
highest = highest { $amount }
floor-choose = Choose a host to see its servers, or what would become of them without it.
reserved-of-with = reserved of { $all }, { $servers }
used-of = used of { $all }
free = free
largest-cpu = largest that can start now, in { $pool }
largest-gpu = largest with a GPU, in { $pool }
gpus-free = GPUs free
waiting-count = waiting
some-of = { $some } of { $all }
thought-away = thought away
hosts-lead = What each has, what is promised, and what is really used.
hosts-ready = hosts ready
placed-waiting = servers placed, { $waiting } waiting
reserved-of = reserved of { $all }
hosts-none = No host is declared. Write one into hosts.toml, then give its agent a way in: berth host add NAME
report = Report
agent = Agent
legend-reserved = reserved: the limits of its servers
legend-used = used: by everything on the host
amount-of-reserved = { $some } of { $all } reserved
amount-reserved = { $some } reserved
amount-of-used = { $some } of { $all } used
rest-not-known = { $some } reserved, the rest is not known
let-agent-in = To let its agent in:
amount-used = { $some } used
of-all = of { $all }
on-the-floor = On the floor
drain-button = Drain…
take-again = Take servers again
declared-in = Declared in
no-file = no file
declared-amount = { $amount } declared
reported-kept = { $total } reported, { $kept } kept free
processors-column = Processors
load = Load, last minute
not-known = not known
tunnel = Tunnel
last-report = Last report
no-report = none since the hub started
gpu-driver = GPU driver
boot = Boot
not-settled = Not settled
busy = Busy
on-it = On it
well = well
set-aside = set aside
images = Images
images-none = None is known.
its-servers = Its servers
nothing-placed = Nothing is placed here.
gpu = GPU
drain-host = Drain { $host }
drain-lead = Nothing new is placed on it from the order on. Here stands what would become of its servers; nothing has been done yet.
drain-empty-by = To be empty
drain-left = What is left then
drain-left-stopped = is stopped
drain-left-stays = stays
drain-owners-read = the owners read it
drain-example = driver update
look-again = Look again
what-would-happen = What would happen
drain-empty-at-once = Nothing is on it: it is empty at once.
drain-empty-at = Empty at
drain-empty-unknown = It is not known when it will be empty.
drain-no-room = { $some } of its { $all } servers would find no room elsewhere.
drain-all-room = All of its { $all } servers would find room elsewhere.
drain-told =
    { $people ->
        [one] One person would be told now, and again { $leads } before the end: { $ways }.
       *[other] { $people } people would be told now, and again { $leads } before the end: { $ways }.
    }
drain-told-once =
    { $people ->
        [one] One person would be told now: { $ways }.
       *[other] { $people } people would be told now: { $ways }.
    }
drain-they-read = They would read:
drain-your-reason = (your reason)
drain-gpu = { $gpu }, { $busy } % busy
told-lab = in JupyterLab
told-card = on the server’s card
told-mail = by mail
drain-give-reason = Give a reason and look again; then it can be ordered.
leave-it = Leave it
what-happens = What happens
room-next = Room for its next start
servers-lead = Who runs what, where, and why it does not.
filter = Filter
saved-views = Saved views
view-gpu-idle = GPU held and idle
view-old = Older than 30 days
view-waiting = Waiting
view-near-limit = Within 10 % of the memory limit
view-outdated = Outdated image
view-no-fit = What would not fit without it
servers-csv = As a table (CSV)
bulk-notify = Tell their owners…
bulk-extend = Put stops off…
bulk-stop = Stop these…
no-server-fits = No server fits this filter.
no-servers-yet = Nobody has started a server yet.
found-of-servers = { $found } of { $all } servers
first-shown = the first { $count } are shown
stop-of = { $title } of { $owner }
bulk-all = All that are active.
bulk-those = Those that fit
bulk-nothing-yet = Nothing has been done yet.
bulk-done = Done.
bulk-none = There is none.
bulk-back = Back to the table
bulk-left-off = { $count } more are left off: so many at a time.
bulk-leave = Leave them
queue-title = Queue and decisions
queue-lead = Who waits and for what, in the order in which they are served; and what was decided last.
queue-nobody = Nobody waits.
place = Place
waits-for = Waits for
since = Since
expected-in = Expected in
queue-nothing = Nothing was decided yet.
queue-none-fits = None fits.
outcome = Outcome
place-held = { $host } is held
span-to = { $from } to { $to }
leaving-stopped = { $host } is to be empty by { $by }: { $reason }. What runs there then is stopped.
leaving-kept = { $host } is to be empty by { $by }: { $reason }. Nothing is stopped by force.
leaving-some-day = { $host } is being emptied: { $reason }. Nothing is stopped by force.
leaving-next = Save your work, then stop the server and start it again when it suits you: it will run on another host.
host-ready = ready
host-joining = joining
host-opens = opens { $at } ({ $training })
host-opens-never = no training is planned
host-mismatch-memory = { $declared } of memory declared, { $reported } reported
host-mismatch-gpus = { $declared } GPUs { $model } declared, { $reported } reported
host-lost = lost
host-engine-down = engine down
host-undeclared = undeclared
host-doubled = doubled
host-cordoned = cordoned
host-draining = draining
host-drained = drained
host-closed = closed
seconds-ago = { $count } s ago
program-unknown = uid { $uid }, no server
in-10-minutes = in 10 minutes
in-2-hours = in 2 hours
in-8-hours = in 8 hours
in-a-day = in a day
in-3-days = in 3 days
when-all-ended = when its servers have ended by themselves
fate-idle = stops by itself, being idle
fate-restarted = is restarted elsewhere
fate-stopped = is stopped, idle
fate-interrupted = is stopped at work
fate-held = stays
drain-say-why = Say why: people whose servers are there read it
bulk-stop-title = Stop servers
bulk-extend-title = Let servers stop later
bulk-stop-button = Stop them
bulk-extend-button = Put their stops off by one step
bulk-notify-title = Tell the owners of servers
bulk-notify-button = Tell them
bulk-notify-text = What they are to read
bulk-notify-until = Until
bulk-notify-hours =
    { $hours ->
        [one] for { $hours } hour
       *[other] for { $hours } hours
    }
bulk-notify-empty = Write what they are to read.
bulk-told = reads it at home and in JupyterLab
bulk-stopping = is being stopped
bulk-not-running = did not run any more
bulk-later = stops later
bulk-no-stop = is not going to be stopped
bulk-stays = stays as it is
sum-of-host = { $reserved } reserved, { $used } used of { $total }
idle-at-work = at work
idle-hour = idle under an hour
idle-half-day = idle under 12 hours
idle-day = idle under a day
idle-longer = idle for longer
age-hour = started within an hour
age-day = within a day
age-week = within a week
age-month = within a month
age-older = older
floor-no-pool = no pool
floor-others = others
floor-unknown = not known
hosts-count =
    { $count ->
        [one] { $count } host
       *[other] { $count } hosts
    }
by-group = Group
by-idle = Idle time
by-age = Age
by-image = Image
gpu-set-aside = set aside: { $why }
gpu-is-free = free
gpu-held-by = held by { $who }
gpu-held-idle = held by { $who }, idle
gpu-held-busy = held by { $who }, { $busy } % busy

## A server's course

charts = Over time
charts-lead = The highest values of each span, since its start or since the hub’s.
chart-memory = at most { $highest }, limit { $limit }
chart-cpu-title = Processors
chart-cpu = at most { $highest }
chart-gpu = at most { $highest } % busy
work-title = Kernels and terminals
work-no-kernels = No kernel runs.
work-kernels =
    { $busy ->
        [0] No kernel is busy; one last said something { $quiet } ago.
        [one] { $busy } kernel is busy; one last said something { $quiet } ago.
       *[other] { $busy } kernels are busy; one last said something { $quiet } ago.
    }
work-terminals =
    { $open ->
        [one] { $open } terminal is open, { $working } at work.
       *[other] { $open } terminals are open, { $working } at work.
    }
work-moved = { $amount } a second move through its network and to and from storage.

## Work on the compute farm

farm-title = On the compute farm
farm-dashboard = Dask dashboard
farm-pending = waits for its turn
farm-running = running
farm-stopping = ending
farm-busy = computing
farm-idle = not computing
farm-size-unknown = its size is not known yet
farm-workers =
    { $count ->
        [one] { $count } worker
       *[other] { $count } workers
    }
farm-cores =
    { $count ->
        [one] { $count } core
       *[other] { $count } cores
    }
farm-more-clusters =
    { $count ->
        [one] and { $count } more cluster
       *[other] and { $count } more clusters
    }
farm-job = Job { $id }
farm-more-jobs =
    { $count ->
        [one] and { $count } more job
       *[other] and { $count } more jobs
    }
farm-jobs-unknown = How the jobs are is not known. Jobs that run go on.
farm-clusters-unknown = How the Dask clusters are is not known. Clusters that run go on.

## Trainings, and what stands above the servers

nav-trainings = Trainings
board-until = Until
notice-put-away = Put away
notice-have-read = I have read this
board-away = The host { $host }, where a server of yours runs, is to be empty:
trainings-lead = Courses with dates, people and machines of their own.
trainings-none = There is no training for you.
training = Training
training-state = State
training-days = Dates
training-there = Connected
training-images = Image there, on hosts
training-preview = What participants see
training-pool = Pool
training-open-until = open until
training-opens = opens
training-over = over
training-connected = { $connected } connected of { $expected } expected
training-people = Who takes part
training-nobody = Nobody who takes part is known by name yet.
training-person = Person
training-active = Active
training-act = Server
training-no-server = no server
training-never-here = never here
training-start = Start for { $user }
training-restart = Restart that of { $user }
training-stop = Stop that of { $user }
training-do = What you can do
training-message = A message to all, on their pages and in JupyterLab
training-message-send = Send
training-why = Why; it is kept with the order
training-say-why = Say why: it is kept with the order.
training-extend = One hour more
training-open-hour = Open it for an hour
training-close = Close it for the rest of its hours
training-check = What would go wrong
training-checked = Looked at
training-result = Result
training-found = Found
training-fine = fine
training-wrong = wrong
training-rehearsal = Rehearsal with real servers
training-rehearsal-lead = As many throw-away servers as people are expected and find room now, under your own account. They are measured and end by themselves, and at once if somebody needs their room.
training-rehearse = Rehearse it now
training-rehearse-end = End its servers
training-rehearsed = { $who }: { $ready } of { $servers } got ready.
training-rehearsed-all = { $people } people would be in after { $takes }; the file allows { $within }.
rehearsal-another = { $who } rehearses { $training } since { $since }; it has to end first.
rehearsal-somebody-waits = Somebody waits for the pool { $pool }; a rehearsal would take what comes free there.
rehearsal-no-room = No host of the pool { $pool } has room for a server of the training now.
training-orders = Ordered beside the file
training-ordered-open = open
training-ordered-closed = closed
training-not-done = That was not done
training-not-yours = Only administrators open and close trainings; an instructor extends one that is on.
training-not-on = The training is not on: there is no end to put off.
training-nothing-to-close = The training is not on: there is nothing to close.
training-open-anyway = The training is on until { $until } anyway.
training-too-long = An instructor puts the end off by { $longest } at once at most.
training-in-the-way = The calendar has no room for it: { $why }.
training-pool-taken = { $training } has the pool from { $from }
training-hosts-away = hosts of the pool are away from { $from }
training-other-server = Another server of { $user } runs under that name; its owner has to stop it first.
training-nothing-runs = { $user } has no server of the training that could be stopped.

## Notices, maintenance, kernels, logs

nav-kernels = Kernels
nav-notices = Notices
nav-calendar = Calendar
notices-lead = What is to be known here, for you, and when hosts are away.
notices-now = Now
notices-none = There are no notices.
notices-planned = Maintenance ahead
notices-none-planned = No maintenance is planned.
notices-earlier = Earlier
notices-none-earlier = Nothing ended in the last 30 days.
notices-ended = Ended
notices-yours = a server of yours is there
calendar-title = Maintenance and notices
calendar-lead = Which hosts are to be empty when, and what people read above their servers.
calendar-maintenance = Maintenance
calendar-drains = Drains begin
calendar-from = From
calendar-to = Until
calendar-servers = Servers there
calendar-planned = planned
calendar-emptied = is being emptied
calendar-under-way = under way
calendar-take-back = Take back
calendar-end = End now
calendar-to-whom = To whom
calendar-audiences = all, or group:NAME, pool:NAME, host:NAME, training:NAME
calendar-level = How urgent
calendar-info = good to know
calendar-warning = warning
calendar-until-empty = One day if you leave this empty.
calendar-english = In English
calendar-french = In French (may be empty)
calendar-must-read = Everybody whom it is for is to say that they have read it
calendar-to-be-read = to be read
calendar-write = Write a notice
calendar-tell = Show it
calendar-plan = Plan maintenance
calendar-hosts = Hosts, with spaces between
calendar-reason = Why; people whose servers are there read it
calendar-how = The hosts are emptied beforehand, as drains are, stay empty, and then take servers again by themselves.
calendar-plan-it = Plan it
calendar-no-audience = Write all, group:NAME, pool:NAME, host:NAME, training:NAME or users:NAME,NAME.
calendar-nobody = { $audience } reaches nobody: there is no such thing here.
calendar-no-text = Say what people should know, in English.
calendar-too-long = { $most } letters at most.
calendar-moment-missing = Give a date and a time.
calendar-no-moment = “{ $text }” is no date with a time.
calendar-no-zone = There is no time zone { $zone }.
calendar-ends = The end must lie ahead, and after the beginning.
calendar-no-hosts = Name at least one host.
calendar-no-host = There is no host { $host }.
calendar-no-reason = Say why; people whose servers are there read it.
kernels-lead = What your running servers offer to notebooks. It is asked of them at this moment.
kernels-no-server = None of your servers runs. Kernels are looked for in a running server.
kernels-none = The server offers no kernels.
kernels-kernel = Kernel
kernels-language = Language
kernels-program = Program
kernels-make = Make a kernel from your own environment
kernels-trial = Trial
kernels-try = Test
kernels-answered = { $kernel } started and answered after { $seconds } s. It was ended again.
kernels-failed = { $kernel } did not start:
kernels-failed-next = The log on the page of the server says more.
kernels-broken = One of your own kernels will not start.
kernels-environment = Path of the environment
kernels-environment-hint = Of conda or venv, as your server sees it. Nothing is written by this page.
kernels-no-path = This is no path: it has to begin with / or ~/.
kernels-make-button = Make a kernel
kernels-make-lead = Type this in a terminal of your server:
kernels-make-then = It writes kernel.json into { $folder }. Then reload JupyterLab's launcher. If such a kernel will not start, this page and the server's card say why after the server's next start.
log = Log
log-as-of = as of
log-again = Read it again
log-full = Others follow logs of this host at this moment. Read it again, or wait: this page follows it as soon as one of them leaves.
log-empty = The server has written nothing yet.
asked-not-placed = The server runs nowhere.
asked-away = The host cannot be asked at this moment.
asked-slow = The host did not answer in time. Try again.
asked-said = The host says: { $said }

## What berth doctor says

doctor-fleet = Every invariant holds over { $hosts } hosts and { $servers } servers.
doctor-fleet-remedy = This is a mistake of Berth: report it with the hub's log. Nothing is stopped for it; do not restart servers by hand.
doctor-restore = Restored from a backup; not heard since of { $hosts }.
doctor-restore-remedy = No server is started before they report. Start their agents; take a host that is gone for good out of hosts.d.
doctor-hosts = { $well } of { $all } report.
doctor-images = { $host }: { $image } is { $own }, and { $usual } on most hosts.
doctor-images-remedy = Servers run what most hosts have, fetched by its digest; an image without a registry is run as it is there. Load or pull the right one on the host, or remove its name there: docker rmi.
doctor-config = In force since { $since }.
doctor-config-kept = The last good files are in force; those on disk are wrong: { $first }
doctor-config-wrong = The files on disk are wrong and not in force: { $first }
doctor-config-remedy = 'berth config check' says what is wrong; put it right.
doctor-config-back = Somebody went back to earlier files.
doctor-config-back-remedy = 'berth config diff' shows what is on disk; change that, or 'berth config reload'.
doctor-database = It takes a write.
doctor-database-remedy = Look at the disk of the state folder and at the hub's log; 'berth-hub restore' goes back to a backup.
doctor-disk = { $free } free for { $folder }.
doctor-disk-short = Make room: without it nothing can be started or stopped.
doctor-disk-remedy = Look at the state folder.
doctor-backup = The last: { $at }.
doctor-backup-none = There was none.
doctor-backup-remedy = Let 'berth-hub backup FILE' run every night.
doctor-certificate = The proxy's is valid until { $until }.
doctor-certificate-none = The proxy has none that can be read.
doctor-certificate-remedy = Restart berth-hub: it writes a new one. Then look why it was not renewed.
doctor-proxy = It answers, and has all { $routes } routes.
doctor-proxy-silent = It does not answer.
doctor-proxy-remedy = Look at berth-proxy: 'systemctl status berth-proxy', and [proxy] api in hub.toml.
doctor-proxy-lacks = It lacks { $lacks } of { $routes } routes.
doctor-proxy-lacks-remedy = Ask again in a minute; then look at its log.
doctor-answers = { $who } answers.
doctor-never = never
doctor-directory-nobody = Nobody is known yet.
doctor-directory-down = { $who } does not answer: { $why }; last word about { $name }: { $last }
doctor-directory-remedy = Until it answers, its last word counts as long as directory.toml says.
doctor-mail-remedy = Warnings are kept and sent once it answers. Look at [mail] in hub.toml.
doctor-check-fleet = fleet
doctor-check-restore = restore
doctor-check-hosts = hosts
doctor-check-spaces = spaces
doctor-check-images = images
doctor-check-configuration = configuration
doctor-check-database = database
doctor-check-disk = disk
doctor-check-backup = backup
doctor-check-certificate = certificate
doctor-check-proxy = proxy
doctor-check-directory = directory
doctor-check-mail = mail

## What would go wrong with a training

check-over = it is over: no hour of it lies ahead
check-no-room = { $without } of { $people } people find no room for { $memory } in pool { $pool }
check-no-room-beside = { $without } of { $people } people find no room for { $memory } in pool { $pool }, beside the trainings of that hour
check-room = { $people } x { $memory } have room on { $hosts }
check-without = { "" }; without { $host } { $placed } of them
check-overflow = { "" }, { $count } in pool { $pool }
check-no-image = there is no image { $image }
check-image = { $image } is on all { $hosts }
check-image-lacks = { $image } is on { $have } of { $hosts }, not on { $lack }
check-accounts = no valid account: { $who }
check-named = { $known } are named, { $expected } expected
check-known = { $known } are known here, { $expected } expected; others of { $groups } at their first login
check-away = { $host } is away from { $from } to { $to }: { $reason }
check-closed = { $host } takes nothing new: { $reason } ({ $who })
check-none-away = no host is away meanwhile
check-alone = no other training has pool { $pool } then
check-other = { $name } ({ $from }, { $people } people)
check-clash = pool { $pool } is also of { $others }
check-shared = pool { $pool } is also of { $others }; all of both have room
check-assumed = { $one } a start, assumed
check-measured = { $one } a start, measured once
check-median = { $one } a start, the median of { $times }
check-starts = { $starts } starts at once take { $takes } ({ $from }); { $within } are allowed
check-more = { $shown } and { $more } more
check-of-dates = dates
check-of-memory = memory
check-of-image = image
check-of-people = people
check-of-maintenance = maintenance
check-of-clash = clash
check-of-start-rate = start rate

## Addresses that stay

entry-number = no. { $id }
notice = Notice
notice-now = now
notice-over = over
notice-cancelled = taken back
notice-read-by = Have said that they read it
notice-readers =
    { $count ->
        [one] one person
       *[other] { $count } people
    }
audit-entry = Entry { $id } of the audit
config-version = version { $version }
config-version-lead = What rules and placement knew from the site’s files, orders about trainings included. Decisions name it by this number.
config-version-now = This is in force.
config-version-then = This is not in force any more, or not yet again.
pool-placement = Placement
pool-pack = Fills one host after the other, so that whole hosts stay free.
pool-spread = Fills all hosts alike.
pool-limits = The limits of all servers of a host count.
pool-peaks = What servers used at most lately counts, and that any one of them may grow to its limit.
pool-oversubscribe = Limits may reach { $times } times the usable memory.
pool-open = Open
pool-trainings-only = only while a training is on
image-version = Version
image-before = Version before
image-who = Who gets it
image-everybody = everybody, at the next start
image-canary = some people first; everybody from
image-taken-back = nobody: it was taken back, and the version before is given
image-running = Servers that run with it
image-there = there
image-newer-there = a newer one exists
image-newer = A newer image exists: restart to get it.
image-not-there = not there

## Asking for help, and being told

ask-for-help = Ask for help
help-support = About a server, ask from its card: the ticket then has its id, its host and its times.
ticket-subject = Notebook server { $server }
ticket-what = What I did, and what I expected:
tab-waits = Place { $place } in the queue
tell-me = Tell me when it is ready
tell-granted = You will be told, while this page stays open
tell-denied = Your browser does not let this site tell you; the title of this page changes all the same
tell-ready = { $server } is ready
verdict-usually = Usually there after { $seconds }.

## Chosen amounts and columns

memory-own = Another amount
memory-own-gb = GB of memory
columns = Columns
age = Age
