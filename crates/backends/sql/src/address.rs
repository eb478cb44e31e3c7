//! Which database a URL means.

#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::str::FromStr;

use larder_core::ConfigError;
#[cfg(feature = "mysql")]
use sqlx::mysql::MySqlConnectOptions;
#[cfg(feature = "postgres")]
use sqlx::postgres::PgConnectOptions;

const ALLOWED: &str = "sqlite:///file, postgres://[user[:password]@]host[:port]/database or \
                       mysql://[user[:password]@]host[:port]/database";

/// A database and the way to it.
#[derive(Clone)]
pub(crate) enum Address {
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(PgConnectOptions),
    #[cfg(feature = "mysql")]
    MySql(MySqlConnectOptions),
}

/// URLs are not told in errors: they may have a password in them.
impl FromStr for Address {
    type Err = ConfigError;

    fn from_str(url: &str) -> Result<Self, ConfigError> {
        let unknown = || ConfigError::new("url", "of no known database", ALLOWED);
        let (scheme, rest) = url.split_once(':').ok_or_else(unknown)?;
        // Other programs name a driver too.
        let scheme = scheme.split('+').next().unwrap_or_default();
        match scheme.to_ascii_lowercase().as_str() {
            #[cfg(feature = "sqlite")]
            "sqlite" => sqlite_file(rest).map(Self::Sqlite),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                let options = format!("postgres:{rest}").parse();
                options
                    .map(Self::Postgres)
                    .map_err(|error| unreadable(&error))
            }
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => {
                let options = format!("mysql:{rest}").parse();
                options.map(Self::MySql).map_err(|error| unreadable(&error))
            }
            #[allow(unreachable_patterns, reason = "what is switched on is known above")]
            "sqlite" | "postgres" | "postgresql" | "mysql" | "mariadb" => {
                let given = format!("of {scheme}, which this program was built without");
                Err(ConfigError::new(
                    "url",
                    given,
                    "a database whose feature is switched on",
                ))
            }
            _ => Err(unknown()),
        }
    }
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
fn unreadable(error: &sqlx::Error) -> ConfigError {
    ConfigError::new("url", format!("not readable ({error})"), ALLOWED)
}

/// The file of what follows `sqlite:`. Three slashes come before a path that begins in the
/// current folder, four before one that begins at the root.
#[cfg(feature = "sqlite")]
fn sqlite_file(rest: &str) -> Result<PathBuf, ConfigError> {
    let file = rest
        .strip_prefix("///")
        .or_else(|| rest.strip_prefix("//"))
        .unwrap_or(rest);
    if file.contains('?') {
        return Err(ConfigError::new(
            "url",
            "with options behind a ?",
            "sqlite:///file alone",
        ));
    }
    if file.is_empty() || file == ":memory:" {
        let allowed = "a file; the memory backend keeps entries in memory";
        return Err(ConfigError::new("url", "a database in memory", allowed));
    }
    Ok(file.into())
}

#[cfg(all(test, feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod tests {
    use super::*;

    fn file(url: &str) -> Option<String> {
        match url.parse() {
            Ok(Address::Sqlite(file)) => Some(file.display().to_string()),
            _ => None,
        }
    }

    // covers: N3, X9
    #[test]
    fn files_are_written_as_other_programs_write_them() {
        for (url, path) in [
            ("sqlite:///./cache.db", "./cache.db"),
            ("sqlite:///cache.db", "cache.db"),
            ("sqlite:////var/lib/cache.db", "/var/lib/cache.db"),
            ("sqlite+aiosqlite:///./cache.db", "./cache.db"),
            ("sqlite://cache.db", "cache.db"),
            ("sqlite:cache.db", "cache.db"),
        ] {
            assert_eq!(file(url).as_deref(), Some(path), "{url}");
        }
        for bad in ["sqlite://", "sqlite:///:memory:", "sqlite:///a.db?mode=ro"] {
            assert_eq!(file(bad), None, "{bad}");
        }
    }

    #[test]
    fn servers_are_read_with_or_without_a_driver() {
        for url in [
            "postgres://app:pw@db/shop",
            "postgresql://db:5433/shop",
            "postgresql+asyncpg://app@db/shop",
        ] {
            let Ok(Address::Postgres(options)) = url.parse() else {
                panic!("{url}");
            };
            assert_eq!(
                (options.get_host(), options.get_database()),
                ("db", Some("shop"))
            );
        }
        for url in [
            "mysql://app:pw@db/shop",
            "mysql+pymysql://db/shop",
            "mariadb://db/shop",
        ] {
            let Ok(Address::MySql(options)) = url.parse() else {
                panic!("{url}");
            };
            assert_eq!(
                (options.get_host(), options.get_database()),
                ("db", Some("shop"))
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_its_password() {
        for bad in [
            "",
            "cache.db",
            "oracle://a:topsecret@b",
            "postgres://a:topsecret@b:port/c",
        ] {
            let error = bad.parse::<Address>().err().expect(bad);
            assert!(!error.to_string().contains("topsecret"), "{error}");
        }
    }
}
