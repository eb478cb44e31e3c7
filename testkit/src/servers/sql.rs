//! PostgreSQL and MariaDB, each with the database `cache` for the user `app`.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Certificate, Server};

/// Where the programs of PostgreSQL are, by version.
const POSTGRES: &str = "/usr/lib/postgresql";
/// The user and the password that both databases know.
const LOGIN: &str = "app:s3cret-password";
/// What MariaDB does at each start, a statement in each line.
const INIT: &str = "CREATE DATABASE IF NOT EXISTS cache;
CREATE USER IF NOT EXISTS 'app'@'127.0.0.1' IDENTIFIED BY 's3cret-password';
GRANT ALL ON cache.* TO 'app'@'127.0.0.1';
";

impl Server {
    /// PostgreSQL that does not wait for its disk.
    pub fn postgres() -> Self {
        Self::with_greeting("postgres", postgres, postgres_greets)
    }

    /// The same behind TLS, with this certificate; without it is refused.
    pub fn postgres_with_tls(certificate: &Certificate) -> Self {
        let certificate = certificate.clone();
        let command = move |folder: &Path, port| {
            let mut command = postgres(folder, port);
            let data = folder.join("data");
            for (name, pem) in [
                ("server.crt", &certificate.certificate),
                ("server.key", &certificate.key),
                (
                    "pg_hba.conf",
                    &"hostssl all all 127.0.0.1/32 scram-sha-256\n".to_owned(),
                ),
            ] {
                write_as_owner(&data, name, pem);
            }
            command.args(["-c", "ssl=on"]);
            command
        };
        // It is asked without TLS, and says that it wants it.
        Self::with_greeting("postgres", command, |stream| {
            postgres_says(stream).is_some()
        })
    }

    /// MariaDB that does not wait for its disk.
    pub fn mariadb() -> Self {
        Self::with_greeting("mysql", mariadb, |stream| {
            // It greets once it is there.
            stream.read_exact(&mut [0; 5]).is_ok()
        })
    }

    /// The URL of the database `cache` on a server of SQL.
    pub fn sql_url(&self) -> String {
        format!("{}://{LOGIN}@{}/cache", self.name, self.address())
    }
}

fn postgres(folder: &Path, port: u16) -> Command {
    let programs = newest(Path::new(POSTGRES)).join("bin");
    let data = folder.join("data");
    let owner = Owner::named("postgres");
    if !data.exists() {
        owner.take(folder);
        let password = folder.join("password");
        fs::write(&password, "s3cret-password").expect("the folder can be written to");
        owner.take(&password);
        run(owner
            .command(programs.join("initdb"))
            .args(["--username=app", "--auth=scram-sha-256", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--no-sync", "--pwfile"])
            .arg(&password)
            .arg("-D")
            .arg(&data));
        // Without a server: this makes the database.
        let single = owner
            .command(programs.join("postgres"))
            .args(["--single", "-F", "-D"])
            .arg(&data)
            .arg("postgres")
            .current_dir(folder)
            .stdin(file_with(folder, "CREATE DATABASE cache;\n"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(
            single.is_ok_and(|status| status.success()),
            "no database was made"
        );
    }
    let mut command = owner.command(programs.join("postgres"));
    command
        .arg("-D")
        .arg(&data)
        .args(["-c", "listen_addresses=127.0.0.1"]);
    command.args([
        "-c",
        &format!("port={port}"),
        "-c",
        "unix_socket_directories=",
    ]);
    command.args(["-c", "max_connections=200", "-c", "full_page_writes=off"]);
    // What is committed is still with the system when the server is killed.
    command.args(["-c", "fsync=off"]);
    command
}

/// Whether it is there for connections, and not only listening.
fn postgres_greets(stream: &mut TcpStream) -> bool {
    // It asks for the password.
    postgres_says(stream) == Some(b'R')
}

/// The first byte of the answer to a user that wants to sign in.
fn postgres_says(stream: &mut TcpStream) -> Option<u8> {
    let words = b"\x00\x03\x00\x00user\0app\0database\0cache\0\0";
    let length = u32::try_from(words.len() + 4).expect("some bytes");
    stream.write_all(&length.to_be_bytes()).ok()?;
    stream.write_all(words).ok()?;
    let mut first = [0];
    stream.read_exact(&mut first).ok()?;
    // While it starts it says so, and with TLS alone that there is none.
    let mut rest = [0; 256];
    let length = stream.read(&mut rest).ok()?;
    let is_starting = rest[..length].windows(5).any(|code| code == b"57P03");
    (!is_starting).then_some(first[0])
}

fn mariadb(folder: &Path, port: u16) -> Command {
    let (data, scratch) = (folder.join("data"), folder.join("scratch"));
    let owner = Owner::named("mysql");
    // Of its own: whoever starts removes what it finds of others.
    let tmpdir = format!("--tmpdir={}", scratch.display());
    if !data.exists() {
        fs::create_dir_all(&scratch).expect("the folder can be written to");
        owner.take(folder);
        owner.take(&scratch);
        run(owner
            .command("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", "--innodb-flush-method=nosync"])
            .arg(&tmpdir)
            .arg(format!("--datadir={}", data.display())));
        fs::write(folder.join("init.sql"), INIT).expect("the folder can be written to");
    }
    let place = ["/usr/sbin/mariadbd", "mariadbd"];
    let program = place.iter().find(|program| Path::new(program).exists());
    let mut command = owner.command(program.unwrap_or(&place[1]));
    command
        .args([
            "--no-defaults",
            "--bind-address=127.0.0.1",
            "--skip-log-bin",
        ])
        .args(["--skip-name-resolve", "--innodb-flush-method=nosync"])
        .args([
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=64M",
        ])
        .arg(format!("--port={port}"))
        .arg(tmpdir)
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", folder.join("socket").display()))
        .arg(format!("--pid-file={}", folder.join("pid").display()))
        .arg(format!("--init-file={}", folder.join("init.sql").display()));
    command
}

/// Whom a server runs as, which will not be root.
struct Owner(Option<(u32, u32)>);

impl Owner {
    /// The user of this name, if this is root; otherwise whoever this is.
    fn named(name: &str) -> Self {
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let number = |option| {
            let said = Command::new("id").args([option, name]).output().ok()?;
            String::from_utf8(said.stdout).ok()?.trim().parse().ok()
        };
        Self(if is_root {
            number("-u").zip(number("-g"))
        } else {
            None
        })
    }

    /// Gives it a file or a folder.
    fn take(&self, path: &Path) {
        if let Some((user, group)) = self.0 {
            chown(path, Some(user), Some(group)).expect("root gives away");
        }
    }

    /// Runs a program as this user.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command
    }
}

/// Writes a file that belongs to whom its folder belongs to, and nobody else reads.
fn write_as_owner(folder: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;

    let path = folder.join(name);
    fs::write(&path, text).expect("the folder can be written to");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let owner = fs::metadata(folder).expect("it is there");
    chown(&path, Some(owner.uid()), Some(owner.gid())).expect("it is ours to give");
}

fn file_with(folder: &Path, text: &str) -> fs::File {
    let path = folder.join("statements");
    fs::write(&path, text).expect("the folder can be written to");
    fs::File::open(&path).expect("just written")
}

/// Runs a program to its end.
fn run(command: &mut Command) {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.output().unwrap_or_else(|error| {
        panic!("cannot start {program}: {error}; `cargo xtask test` installs it")
    });
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} failed:\n{said}");
}

/// The folder of the newest version in a folder of versions.
fn newest(folder: &Path) -> PathBuf {
    let versions = fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |path: &PathBuf| -> Option<u32> { path.file_name()?.to_str()?.parse().ok() };
    let newest = versions.map(|entry| entry.path()).max_by_key(number);
    newest.unwrap_or_else(|| folder.to_owned())
}
