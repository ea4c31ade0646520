//! What can go wrong in the control plane, in words that say what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nearcast_api::{ChannelId, NodeId, UserId};

use crate::access::Scope;
use crate::fleet::{Unheard, UnknownNode};

/// The result of most of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// `Display` says what was attempted and what to do; the cause is the source. `http/respond.rs` maps these to statuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // At start.
    #[error("cannot use the data directory {}: create it, make it writable, or change `data_dir`", path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error(
        "cannot open the database {database}: check that its directory is writable, or its server runs and lets this \
         user in; a file that is damaged can be moved away to start afresh"
    )]
    OpenStore { database: String, source: sqlx::Error },
    #[error(
        "cannot bring the database {database} up to date: run the newest Nearcast on it, or move it away to start afresh"
    )]
    MigrateStore { database: String, source: Box<sqlx::migrate::MigrateError> },
    #[error(
        "the database {database} is of a newer Nearcast: its schema is {schema}, this program knows up to {newest}; use the \
         newer one"
    )]
    NewerStore { database: String, schema: i64, newest: i64 },
    #[error("cannot read or write the token file {}: check its permissions, or set the token in the configuration", path.display())]
    TokenFile { path: PathBuf, source: io::Error },
    #[error("the token in {} is not usable: it needs at least 16 characters; delete the file for a new one", path.display())]
    WeakToken { path: PathBuf },
    #[error("cannot read the geo database {}: check `geo.database`, or leave it empty", path.display())]
    ReadGeo { path: PathBuf, source: io::Error },
    #[error("the [geo] tables cannot be used")]
    Geo(#[source] nearcast_geo::Error),
    #[error(
        "cannot listen on {address} ({transport}) for DNS: stop what has the port, or change `dns.listen`"
    )]
    ListenDns { address: std::net::SocketAddr, transport: &'static str, source: io::Error },
    #[error("cannot make or read a certificate")]
    Authority(#[from] rcgen::Error),
    #[error("`{key}` is not a DNS name: {value:?}")]
    DnsName { key: &'static str, value: String },
    #[error("DNS stopped answering")]
    Dns(#[source] hickory_server::net::NetError),
    #[error(transparent)]
    Service(#[from] nearcast_service::Error),

    // Of a backup.
    #[error(
        "there is no Nearcast database at {database}: check `database` and `data_dir` of the configuration"
    )]
    NoStore { database: String },
    #[error(
        "the database {database} is not empty: restore into a new one, or say --replace to lose what is in it"
    )]
    StoreNotEmpty { database: String },
    #[error("the database {database} is in use: stop the control plane first")]
    StoreInUse { database: String },
    #[error(
        "the backup is of a newer Nearcast: its schema is {schema}, this program knows up to {newest}; use the newer one"
    )]
    NewerBackup { schema: i64, newest: i64 },
    #[error("the backup cannot be used: {problem}; nothing was changed")]
    DamagedBackup { problem: String },
    #[error("cannot read the backup: is it a file that this user may read?")]
    ReadBackup { source: io::Error },
    #[error("cannot write the backup: is there room, and may this user write there?")]
    WriteBackup { source: io::Error },

    // While running.
    #[error(
        "cannot {attempt}: the database does not answer as it should; is its disk full, or its server away?"
    )]
    Store { attempt: &'static str, source: sqlx::Error },
    #[error("the database holds {what} that cannot be read: {value:?}")]
    DamagedStore { what: &'static str, value: String },

    // Of a request.
    #[error("there is no channel {0}: POST /api/v1/channels creates one")]
    NoChannel(ChannelId),
    #[error("channel {0} is not live: metadata belongs to a broadcast, send it when one has begun")]
    NotLive(ChannelId),
    #[error(
        "there is no purge {0}, or so many came after it that it is forgotten: GET /api/v1/purges lists the last ones"
    )]
    NoPurge(u64),
    #[error(transparent)]
    OutboxFull(#[from] crate::metadata::Full),
    #[error("the channel {0} exists: PATCH /api/v1/channels/{0} changes it")]
    ChannelExists(ChannelId),
    #[error(
        "channel {0} has changed since: GET /api/v1/channels/{0} shows what it is now, with the ETag to send"
    )]
    ChangedMeanwhile(ChannelId),
    #[error("channel {channel} has no stream key {id:?}: GET /api/v1/channels/{channel}/keys lists them")]
    NoKey { channel: ChannelId, id: String },
    #[error("there is no category {0:?}: GET /api/v1/categories lists them")]
    NoCategory(String),
    #[error("the category {0} exists: PATCH /api/v1/categories/{0} changes its names")]
    CategoryExists(String),
    #[error("{channels} channels are in the category {id}: give them another one first")]
    CategoryInUse { id: String, channels: u64 },
    #[error("too many searches are running: try again in a moment, or leave `q` out")]
    TooManySearches,
    #[error("there is no playback key {0:?}: GET /api/v1/playback-keys lists them")]
    NoPlaybackKey(String),
    #[error(
        "no playback key of which the control plane has the signing half opens channel {0}: POST /api/v1/playback-keys makes one"
    )]
    NoSigningKey(ChannelId),
    #[error("there is no revocation {0:?}: GET /api/v1/revocations lists them")]
    NoRevocation(String),
    #[error("there is no version {0} of the topology: GET /api/v1/topology/versions lists those there are")]
    NoTopology(u64),
    #[error("there is no draft of the topology: PUT or PATCH /api/v1/topology/draft begins one")]
    NoDraft,
    #[error(
        "the draft has changed since: GET /api/v1/topology/draft shows what it is now, with the ETag to send"
    )]
    DraftChanged,
    #[error(
        "this is meant for version {base} of the topology, and {newest} is published: look at GET /api/v1/topology, and \
         send `\"base\": {newest}` if it is still right"
    )]
    OutdatedDraft { base: u64, newest: u64 },
    #[error(
        "{0}: send `\"force\": true` to do it all the same; POST /api/v1/topology/draft/validate says more"
    )]
    Outage(String),
    #[error("there is no API token {0:?}: GET /api/v1/api-tokens lists them")]
    NoApiToken(String),
    #[error("there is no webhook {0:?}: GET /api/v1/webhooks lists them")]
    NoWebhook(String),
    #[error("webhook {webhook} has no delivery {id:?}: GET /api/v1/webhooks/{webhook}/deliveries lists them")]
    NoDelivery { webhook: String, id: String },
    #[error(
        "webhook {0} has changed since: GET /api/v1/webhooks/{0} shows what it is now, with the ETag to send"
    )]
    WebhookChanged(String),
    #[error(
        "webhook {0} is disabled and sends nothing: PATCH /api/v1/webhooks/{0} with {{\"enabled\": true}} enables it"
    )]
    WebhookDisabled(String),
    #[error(
        "to be told of nodes needs a token with the scope operator: name the `events` you want, without those of nodes"
    )]
    NodeEvents,
    #[error("there is no user {0}: GET /api/v1/users lists them")]
    NoUser(UserId),
    #[error("the user {0} exists: PATCH /api/v1/users/{0} changes them")]
    UserExists(UserId),
    #[error(
        "user {0} has changed since: GET /api/v1/users/{0} shows what they are now, with the ETag to send"
    )]
    UserChanged(UserId),
    #[error("another user has this `subject`: GET /api/v1/users shows who")]
    SubjectTaken,
    #[error("there is no session {0:?}: GET /api/v1/sessions lists them")]
    NoSession(String),
    #[error("this call is not made with a session: POST /api/v1/sessions begins one")]
    NoOwnSession,
    #[error("the user's name or the password is wrong: try again, or ask an admin for a new password")]
    WrongPassword,
    #[error("`old` is not the password that counts now: send that, or ask an admin for a new one")]
    WrongOldPassword,
    #[error("user {0} is disabled: an admin can change that with PATCH /api/v1/users/{0}")]
    UserDisabled(UserId),
    #[error("the session is over: sign in again with POST /api/v1/sessions")]
    SessionOver,
    #[error("too many wrong passwords for this user, or from your address: try again in {seconds} s")]
    SignInWaits { seconds: u64 },
    #[error("too many calls: go on in {seconds} s, and more slowly")]
    TooManyCalls { seconds: u64 },
    #[error("too many sign in at this moment: try again in a second")]
    Busy,
    #[error("the password cannot be hashed: use another")]
    Unhashable,
    #[error(
        "a call with the session's cookie may only come from this control plane's own pages: programs send \
         `Authorization: Bearer TOKEN` instead"
    )]
    CrossSite,
    #[error("signing in by an identity provider is not set up: see `api.oidc` in the configuration")]
    NoOidc,
    #[error(
        "this sign-in was not begun in this browser, took too long, or was finished already: begin again at \
         /api/v1/oidc/login"
    )]
    OidcState,
    #[error("the identity provider did not let you in ({0}): begin again at /api/v1/oidc/login")]
    OidcRefused(String),
    #[error("the identity provider did not answer as it should, {attempt}: {problem}")]
    OidcProvider { attempt: &'static str, problem: String },
    #[error("the identity provider's token cannot be believed: {0}")]
    OidcToken(String),
    #[error(
        "the identity provider says that you belong to nothing that opens this: ask an admin of `api.oidc.scopes`"
    )]
    OidcNoScope,
    #[error("nobody here is {subject:?} at the identity provider: an admin makes a user with this `subject`")]
    NotOfOurs { subject: String },
    #[error(
        "{name:?} is taken, or cannot be a user's name here: an admin makes a user with the `subject` {subject:?}"
    )]
    NameTaken { name: String, subject: String },
    #[error("there is no enrolment {0:?}: GET /api/v1/enrolments lists them")]
    NoEnrolment(String),
    #[error("this is no token for enrolment, or was deleted: POST /api/v1/enrolments makes one")]
    WrongEnrolment,
    #[error(
        "this token was used already, and each is good for one node: `nearcast-control node enrol` makes another"
    )]
    EnrolmentUsed,
    #[error(
        "this token came too late: `nearcast-control node enrol` makes another, `--expires-in` says for how long"
    )]
    EnrolmentOver,
    #[error("{field}: this is for {is} alone; change what the node is, or make a token for what it is")]
    OtherNodes { field: &'static str, is: String },
    #[error(
        "there is a node {0}: POST /api/v1/enrolments with `node` makes a token for it, or choose another name"
    )]
    NodeEnrolled(NodeId),
    #[error(
        "node {node} has {max} certificates that have not ended: wait, or POST /api/v1/nodes/{node}/revoke"
    )]
    TooManyCertificates { node: NodeId, max: usize },
    #[error(
        "node {0} has no certificate: GET /api/v1/nodes lists the nodes, DELETE /api/v1/nodes/{0} forgets one"
    )]
    NoCertificate(NodeId),
    #[error(
        "the certificate of node {0} was revoked: `nearcast-control node enrol` makes a token to let it in again, for \
         `control.enrolment_token`"
    )]
    RevokedNode(NodeId),
    #[error(
        "the certificate is none that counts here: `nearcast-control node enrol` makes a token for another, for \
         `control.enrolment_token`"
    )]
    UnknownCertificate,
    #[error("this certificate is for node {own} alone: call what is below /api/v1/nodes/{own}")]
    OtherNodesPath { own: NodeId },
    #[error(
        "the nodes' token opens nothing here (`api.node_tokens` is false): `nearcast-control node enrol` makes a token for \
         a certificate, for `control.enrolment_token`"
    )]
    NodeTokensOff,
    #[error("there are {max} {what} already: delete some that are of no more use")]
    Full { what: &'static str, max: usize },
    #[error("the token cannot be signed")]
    Sign,
    #[error("this stream key cannot be used here: choose another, or leave `key` out to get a random one")]
    KeyTaken,
    #[error(
        "no node {} is registered: PUT /api/v1/nodes/{} does that, as nodes do by themselves; one that was revoked needs a token of \
         `nearcast-control node enrol {}`",
        .0.0, .0.0, .0.0
    )]
    NoNode(#[from] UnknownNode),
    #[error("another process that started later is called {0} too: give each node a `node.id` of its own")]
    SharedName(NodeId),
    #[error("there are {max} nodes already: DELETE /api/v1/nodes/NODE forgets one that is gone")]
    FleetFull { max: usize },
    #[error("{field}: {problem}")]
    Invalid { field: &'static str, problem: String },
    #[error("the path names node {path}, the body node {body}: make them the same")]
    OtherNode { path: NodeId, body: NodeId },
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    BadBody(String),
    #[error("this Idempotency-Key came with another body before: use a new key for another call")]
    KeyUsed,
    #[error("the first call with this Idempotency-Key is still carried out: ask again in a moment")]
    StillRunning,
    #[error("this token has used too many Idempotency-Keys within 24 hours: wait, or leave the header out")]
    TooManyKeys,
    #[error("the request's body is longer than {max} bytes: send less")]
    TooLarge { max: usize },
    #[error("the request's body did not arrive in time: send it again")]
    TooSlow,
    #[error("this needs a token: send `Authorization: Bearer TOKEN`")]
    NoToken,
    #[error(
        "the token is not one of ours, or counts no more: sign in again, or see the files admin-token and node-token in the data \
         directory"
    )]
    WrongToken,
    #[error("a node's token cannot do this: use the admin token, or one of POST /api/v1/api-tokens")]
    NotANodes,
    #[error("this needs a token with the scope {needs}: POST /api/v1/api-tokens makes one")]
    WrongScope { needs: Scope },
    #[error(
        "this token is only for {}: use another one",
        .channels.iter().map(|id| format!("/api/v1/channels/{id}")).collect::<Vec<_>>().join(", ")
    )]
    OtherChannel { channels: Vec<ChannelId> },
    #[error("`ip` steers somebody else and needs a token: send one, or leave `ip` out")]
    NoTokenForIp,
    #[error("the web pages were not built: run `make web`, then build and start nearcast-control again")]
    NoPages,
    #[error("there is nothing at this path: GET /api/v1/openapi.json describes what there is")]
    NoSuchPath,
    #[error("this path does not take {0}: the Allow header lists what it takes")]
    MethodNotAllowed(http::Method),
    #[error("pages do not take {0}: use GET or HEAD")]
    PageMethod(http::Method),
}

impl Error {
    /// Seconds after which the same call may do, where that is known.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::SignInWaits { seconds } | Self::TooManyCalls { seconds } => Some(*seconds),
            Self::Busy => Some(1),
            _ => None,
        }
    }
}

/// As people and headers count: whole ones, and at least one.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0 || wait.is_zero())
}

impl From<Unheard> for Error {
    fn from(unheard: Unheard) -> Self {
        match unheard {
            Unheard::Unknown(unknown) => Self::NoNode(unknown),
            Unheard::Shared(id) => Self::SharedName(id),
        }
    }
}
