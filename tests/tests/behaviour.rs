//! The behaviour suite over every backend and every stack of layers, from one table.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use std::time::Duration;

use larder_core::{CacheBackend, Layer, ManualClock, SharedBackend};
use larder_file::FileBackend;
use larder_layers::{
    Breaker, Compression, Encryption, Metrics, Namespace, Retry, SecretKey, Timeout,
};
use larder_manager::{Tiers, TiersBuilder};
use larder_memcached::MemcachedBackend;
use larder_memory::InMemoryBackend;
use larder_redis::{RedisBackend, RedisBuilder};
use larder_sql::{SqlBackend, SqlBuilder};
use larder_testkit::servers::{Certificate, RedisCluster, RedisSentinels, RedisShell, Server};
use larder_testkit::{CASES, ModelBackend, SixMethods, Subject};
use libtest_mimic::{Arguments, Trial};
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};

/// A backend in a stack of layers, by the name its trials have.
struct Row {
    name: &'static str,
    make: fn() -> Subject,
}

/// Adding a backend or a stack is one row.
const ROWS: &[Row] = &[
    Row {
        name: "model/bare",
        make: || Subject::new(ModelBackend::with_clock),
    },
    Row {
        name: "model/shared_twice",
        make: || Subject::new(|clock| SharedBackend::new(ModelBackend::with_clock(clock))),
    },
    Row {
        name: "memory/bare",
        make: || memory(100 * 1024 * 1024),
    },
    Row {
        name: "memory/small",
        make: || memory(SMALL).with_max_size_bytes(SMALL),
    },
    Row {
        name: "memory/shared_twice",
        make: || Subject::new(|clock| SharedBackend::new(InMemoryBackend::with_clock(clock))),
    },
    Row {
        name: "memory/namespace",
        make: || layered(&[&namespace()]),
    },
    Row {
        name: "memory/lz4",
        make: || layered(&[&Compression::lz4().threshold(0)]).without_sizes(),
    },
    Row {
        name: "memory/zstd",
        make: || layered(&[&zstd()]).without_sizes(),
    },
    Row {
        name: "memory/encryption",
        make: || layered(&[&encryption()]).without_sizes(),
    },
    Row {
        name: "memory/guards",
        make: || in_runtime(layered(&guards().each_ref().map(|guard| &**guard))),
    },
    Row {
        name: "memory/everything",
        make: || {
            let [metrics, timeout, retry, breaker] = guards();
            let values: [&dyn Layer; 3] = [&encryption(), &zstd(), &namespace()];
            let all = [&*metrics, &*timeout, &*retry, &*breaker];
            in_runtime(layered(&[&all[..], &values[..]].concat())).without_sizes()
        },
    },
    Row {
        name: "model/everything",
        make: || {
            let values: [&dyn Layer; 3] = [&encryption(), &zstd(), &namespace()];
            Subject::new(|clock| stacked(ModelBackend::with_clock(clock), &values)).without_sizes()
        },
    },
    Row {
        name: "file/bare",
        make: || file(bare),
    },
    Row {
        name: "file/everything",
        make: || file(value_layers),
    },
    Row {
        name: "redis/bare",
        make: || redis(bare),
    },
    Row {
        name: "redis/everything",
        make: || redis(value_layers),
    },
    Row {
        name: "redis/tls",
        make: redis_tls,
    },
    Row {
        name: "redis/sentinel",
        make: redis_sentinel,
    },
    Row {
        name: "redis/cluster",
        make: redis_cluster,
    },
    Row {
        name: "memcached/no_key_index",
        make: || memcached(1, false, encrypted),
    },
    Row {
        name: "memcached/bare",
        make: || memcached(2, true, bare),
    },
    Row {
        name: "memcached/everything",
        make: || memcached(1, true, value_layers),
    },
    Row {
        name: "sqlite/bare",
        make: || sqlite(bare),
    },
    Row {
        name: "sqlite/everything",
        make: || sqlite(value_layers).without_sizes(),
    },
    Row {
        name: "postgres/bare",
        make: || postgres(bare),
    },
    Row {
        name: "postgres/everything",
        make: || postgres(value_layers).without_sizes(),
    },
    Row {
        name: "mariadb/bare",
        make: || mariadb(bare),
    },
    Row {
        name: "mariadb/everything",
        make: || mariadb(value_layers).without_sizes(),
    },
    Row {
        name: "tiers/memory_memory",
        make: || {
            let subject = Subject::new(|clock| {
                let far = SharedBackend::new(InMemoryBackend::with_clock(clock.clone()));
                behind_memory(far, &clock)
            });
            in_runtime(subject).without_expired_counts()
        },
    },
    Row {
        name: "tiers/memory_file",
        make: || {
            file(behind_memory)
                .without_expired_counts()
                .without_entry_counts()
        },
    },
    Row {
        name: "tiers/memory_redis",
        make: || redis(behind_memory).without_entry_counts(),
    },
    Row {
        name: "tiers/memory_memcached",
        make: || memcached(2, true, behind_memory).without_entry_counts(),
    },
    Row {
        name: "tiers/memory_sqlite",
        make: || sqlite(behind_memory).without_entry_counts(),
    },
    Row {
        name: "tiers/memory_postgres",
        make: || postgres(behind_memory).without_entry_counts(),
    },
    Row {
        name: "tiers/memory_mariadb",
        make: || mariadb(behind_memory).without_entry_counts(),
    },
    Row {
        name: "tiers/memory_file_redis",
        make: || redis(behind_two).without_entry_counts(),
    },
    Row {
        name: "six_methods/bare",
        make: || Subject::new(SixMethods::with_clock),
    },
];

/// What is put around a backend, with the clock that tests move.
type Wrap = fn(SharedBackend, &ManualClock) -> SharedBackend;

fn bare(backend: SharedBackend, _: &ManualClock) -> SharedBackend {
    backend
}

/// The layers that change what is stored.
fn value_layers(backend: SharedBackend, _: &ManualClock) -> SharedBackend {
    stacked(backend, &[&encryption(), &zstd(), &namespace()])
}

fn encrypted(backend: SharedBackend, _: &ManualClock) -> SharedBackend {
    stacked(backend, &[&encryption()])
}

/// Memory before it.
fn behind_memory(backend: SharedBackend, clock: &ManualClock) -> SharedBackend {
    before(InMemoryBackend::with_clock(clock.clone()), backend, clock)
}

/// Folders that go at the end.
static FOLDERS: Mutex<Vec<TempDir>> = Mutex::new(Vec::new());

/// A file before it, and memory before that.
fn behind_two(backend: SharedBackend, clock: &ManualClock) -> SharedBackend {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let builder = FileBackend::builder(folder.path()).clock(Arc::new(clock.clone()));
    FOLDERS.lock().expect("nobody panics with it").push(folder);
    let file = builder.build().expect("the folder is new");
    let near = InMemoryBackend::with_clock(clock.clone());
    tiers(Tiers::builder().tier(near).tier(file).tier(backend), clock)
}

fn before(near: impl CacheBackend, far: SharedBackend, clock: &ManualClock) -> SharedBackend {
    tiers(Tiers::builder().tier(near).tier(far), clock)
}

fn tiers(tiers: TiersBuilder, clock: &ManualClock) -> SharedBackend {
    let tiers = tiers.clock(Arc::new(clock.clone())).build();
    SharedBackend::new(tiers.expect("legal settings"))
}

/// The runtime of all backends and layers that need one.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("threads can be started")
});

fn in_runtime(subject: Subject) -> Subject {
    subject.run_by(|future| RUNTIME.block_on(future))
}

/// The memory backend in layers, the innermost first.
fn layered(layers: &[&dyn Layer]) -> Subject {
    Subject::new(|clock| stacked(InMemoryBackend::with_clock(clock), layers))
}

/// The file backend in a folder of its own.
fn file(wrap: Wrap) -> Subject {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().to_owned();
    let subject = Subject::new(move |clock| {
        let builder = FileBackend::builder(path).clock(Arc::new(clock.clone()));
        let backend = builder.build().expect("the folder is new");
        wrap(SharedBackend::new(backend), &clock)
    });
    let subject = in_runtime(subject).without_sizes();
    // The folder goes with the subject.
    subject.with_check(move || assert!(folder.path().exists()))
}

/// What tells the prefixes of trials apart.
static NUMBER: AtomicU32 = AtomicU32::new(0);
/// The Redis servers of all trials.
static REDIS: OnceLock<Server> = OnceLock::new();
static REDIS_TLS: OnceLock<(Server, Certificate)> = OnceLock::new();
static SENTINELS: OnceLock<RedisSentinels> = OnceLock::new();
static CLUSTER: OnceLock<RedisCluster> = OnceLock::new();

fn redis(wrap: Wrap) -> Subject {
    let server = REDIS.get_or_init(Server::redis);
    let url = format!("redis://{}", server.address());
    on_redis(RedisBackend::single(url), &[server], wrap)
}

fn redis_tls() -> Subject {
    let (server, certificate) = REDIS_TLS.get_or_init(|| {
        let certificate = Certificate::new();
        (Server::redis_with_tls(&certificate), certificate)
    });
    let builder = RedisBackend::single(format!("rediss://{}", server.address()));
    let builder = builder.root_certificate(&*certificate.certificate);
    on_redis(builder, &[server], bare)
}

fn redis_sentinel() -> Subject {
    let watched = SENTINELS.get_or_init(RedisSentinels::start);
    let sentinels = watched.sentinels.iter();
    let urls = sentinels.map(|sentinel| format!("redis://{}", sentinel.address()));
    // Nothing happens to the first master.
    on_redis(
        RedisBackend::sentinel("main", urls),
        &[&watched.servers[0]],
        bare,
    )
}

fn redis_cluster() -> Subject {
    let cluster = CLUSTER.get_or_init(|| RedisCluster::start(false));
    let servers: Vec<&Server> = cluster.nodes.iter().collect();
    // One node tells of the others.
    let seeds = [format!("redis://{}", servers[0].address())];
    on_redis(RedisBackend::cluster(seeds), &servers, bare)
}

/// Redis under a prefix that nobody else has.
fn on_redis(builder: RedisBuilder, servers: &[&Server], wrap: Wrap) -> Subject {
    let prefix = format!("trial[{}]*", NUMBER.fetch_add(1, Ordering::Relaxed));
    let builder = builder.key_prefix(&prefix);
    let subject = Subject::new(move |clock| {
        let backend = builder.clock(Arc::new(clock.clone())).build();
        wrap(SharedBackend::new(backend.expect("legal settings")), &clock)
    });
    let shells: Vec<RedisShell> = servers.iter().map(|server| server.shell()).collect();
    let keys = prefix.replace('[', "\\[").replace('*', "\\*") + "*";
    in_runtime(subject)
        .without_sizes()
        .with_server_time(move |time| shells.iter().for_each(|shell| shell.pass(&keys, time)))
}

/// The Memcached servers of all trials.
static MEMCACHED: OnceLock<Vec<Server>> = OnceLock::new();

/// One or two Memcached servers, under a prefix that nobody else has.
fn memcached(count: usize, key_index: bool, wrap: Wrap) -> Subject {
    let servers = MEMCACHED.get_or_init(|| vec![Server::memcached(), Server::memcached()]);
    let servers = &servers[..count];
    let prefix = format!("trial[{}]*", NUMBER.fetch_add(1, Ordering::Relaxed));
    let addresses = servers.iter().map(|server| server.address().to_string());
    let builder = MemcachedBackend::at(addresses)
        .max_value_bytes(4 << 20)
        .key_prefix(&prefix)
        .key_index(key_index);
    let subject = Subject::new(move |clock| {
        let backend = builder.clock(Arc::new(clock.clone())).build();
        wrap(SharedBackend::new(backend.expect("legal settings")), &clock)
    });
    in_runtime(subject)
        .without_sizes()
        .with_server_time(move |time| {
            for server in servers {
                server.memcached_shell().pass(&prefix, time);
            }
        })
}

/// The databases of all trials.
static POSTGRES: OnceLock<Server> = OnceLock::new();
static MARIADB: OnceLock<Server> = OnceLock::new();

fn postgres(wrap: Wrap) -> Subject {
    sql(POSTGRES.get_or_init(Server::postgres), wrap)
}

fn mariadb(wrap: Wrap) -> Subject {
    sql(MARIADB.get_or_init(Server::mariadb), wrap)
}

/// A database server, with a table that nobody else has.
fn sql(server: &Server, wrap: Wrap) -> Subject {
    let table = format!("trial_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    on_sql(SqlBackend::at(server.sql_url()).table(table), wrap)
}

/// SQLite in a folder of its own.
fn sqlite(wrap: Wrap) -> Subject {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let builder = SqlBackend::sqlite(folder.path().join("cache.db"));
    // The folder goes with the subject.
    on_sql(builder, wrap).with_check(move || assert!(folder.path().exists()))
}

fn on_sql(builder: SqlBuilder, wrap: Wrap) -> Subject {
    let builder = builder.key_prefix("trial%_");
    let subject = Subject::new(|clock| {
        let backend = builder.clock(Arc::new(clock.clone())).build();
        wrap(SharedBackend::new(backend.expect("legal settings")), &clock)
    });
    in_runtime(subject).without_expired_counts()
}

fn stacked(backend: impl CacheBackend, layers: &[&dyn Layer]) -> SharedBackend {
    let bare = SharedBackend::new(backend);
    layers.iter().fold(bare, |inner, layer| layer.layer(inner))
}

fn namespace() -> Namespace {
    Namespace::new("%tests*[:").expect("a legal prefix")
}

fn zstd() -> Compression {
    let layer = Compression::zstd(1).expect("a legal level");
    layer.threshold(0).max_value_bytes(4 << 20)
}

fn encryption() -> Encryption {
    Encryption::new(&SecretKey::new(1, [7; 32]))
}

/// What goes around operations, the innermost first.
fn guards() -> [Box<dyn Layer>; 4] {
    let timeout = Timeout::new(Duration::from_secs(60)).expect("a legal time");
    [
        Box::new(Metrics::new()),
        Box::new(timeout),
        Box::new(Retry::new(3).expect("a legal number")),
        Box::new(Breaker::new()),
    ]
}

/// A limit that cases can fill and their largest values fit.
const SMALL: u64 = 1024 * 1024 + 64 * 1024;

/// The memory backend, with its invariants checked after each case.
fn memory(max_size_bytes: u64) -> Subject {
    let mut handle = None;
    let subject = Subject::new(|clock: ManualClock| {
        let backend = InMemoryBackend::builder()
            .max_size_bytes(max_size_bytes)
            .clock(Arc::new(clock))
            .build()
            .expect("a positive limit");
        handle.insert(backend).clone()
    });
    let backend = handle.expect("just made");
    subject.with_check(move || backend.validate())
}

fn main() {
    let arguments = Arguments::from_args();
    let pairs = ROWS
        .iter()
        .flat_map(|row| CASES.iter().map(move |case| (row, case)));
    let trials = pairs.map(|(row, case)| {
        Trial::test(format!("{}/{}", row.name, case.name), || {
            case.run(&(row.make)());
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // What is static is never dropped.
    FOLDERS.lock().expect("nobody panics with it").clear();
    let nodes = CLUSTER.get().into_iter().flat_map(|cluster| &cluster.nodes);
    let memcached = MEMCACHED.get().into_iter().flatten();
    let tls = REDIS_TLS.get().into_iter().map(|(server, _)| server);
    let watched = SENTINELS.get().into_iter();
    let watched = watched.flat_map(|all| all.servers.iter().chain(&all.sentinels));
    let databases = POSTGRES.get().into_iter().chain(MARIADB.get());
    let all = REDIS.get().into_iter().chain(nodes).chain(memcached);
    let all = all.chain(tls).chain(watched).chain(databases);
    all.for_each(Server::kill);
    conclusion.exit();
}
