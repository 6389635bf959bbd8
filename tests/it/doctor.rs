//! `photometa doctor` against databases that are ill on purpose: each illness is named by it and, independently, by the
//! rules of the suite. On a PostgreSQL of its own, because roles belong to the whole server.

mod cases;

use std::process::{Command, Output};

use photometa::db::embedded::{Embedded, Options};
use photometa::db::migrate::Migrator;
use serde_json::Value;
use tokio_postgres::Client;

use crate::cluster::{connect, path};
use crate::program::{Folder, photometa};
use crate::schema;
use cases::{CASES, Case};

/// A server with a template that has the schema, and room for ill copies of it.
struct Clinic {
    postgres: Embedded,
    admin: Client,
    folder: Folder,
}

impl Clinic {
    async fn open(name: &str) -> Self {
        let folder = Folder::new(name);
        let options =
            Options { data_dir: folder.0.clone(), durable: true, max_connections: 60, pg_bin: None, path: path() };
        let postgres = Embedded::start(options).await.unwrap();
        postgres.ensure_database("healthy").await.unwrap();
        Migrator::connect(&postgres.config("postgres", "healthy")).await.unwrap().up().await.unwrap();
        let admin = connect(&postgres.config("postgres", "postgres")).await;
        Self { postgres, admin, folder }
    }

    /// A copy of the healthy database.
    async fn admit(&self, name: &str) -> Client {
        self.admin.batch_execute(&format!("create database {name} template healthy")).await.unwrap();
        connect(&self.postgres.config("postgres", name)).await
    }

    async fn dismiss(&self, name: &str, patient: Client) {
        drop(patient);
        self.admin.batch_execute(&format!("drop database {name} with (force)")).await.unwrap();
    }

    fn url(&self, user: &str, database: &str) -> String {
        format!("host={} port=5432 user={user} dbname={database}", self.postgres.socket_dir().display())
    }

    /// What the program says of a database.
    fn examine(&self, user: &str, database: &str, arguments: &[&str]) -> Diagnosis {
        let mut command: Command = photometa(&self.folder.0);
        command.env("PHOTOMETA_DATABASE_URL", self.url(user, database)).args(["doctor", "--json"]).args(arguments);
        Diagnosis::of(&command.output().unwrap())
    }
}

struct Diagnosis {
    healthy: bool,
    report: Value,
}

impl Diagnosis {
    fn of(output: &Output) -> Self {
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(report["ok"], output.status.success(), "the exit status and the report differ: {report}");
        Self { healthy: output.status.success(), report }
    }

    /// The failed findings of a check.
    fn failed(&self, check: &str) -> Vec<String> {
        self.found("failed", check)
    }

    fn found(&self, state: &str, check: &str) -> Vec<String> {
        let findings = self.report["findings"].as_array().unwrap().iter();
        let found = findings.filter(|finding| finding["state"] == state && finding["check"] == check);
        found.map(|finding| finding["message"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn doctor_and_suite_name_every_illness() {
    let clinic = Clinic::open("doctor").await;
    let healthy = clinic.admit("patient_0").await;
    let diagnosis = clinic.examine("photometa_app", "patient_0", &[]);
    assert!(diagnosis.healthy, "{:#}", diagnosis.report);
    assert_eq!(schema::broken(&healthy).await, Vec::<String>::new());
    clinic.dismiss("patient_0", healthy).await;

    for (number, case) in CASES.iter().enumerate() {
        let Case { illness, recovery, check, state, named, by_suite } = case;
        let name = format!("patient_{}", number + 1);
        let patient = clinic.admit(&name).await;
        patient.batch_execute(illness).await.unwrap_or_else(|error| panic!("{illness}: {error}"));

        let diagnosis = clinic.examine("photometa_app", &name, &[]);
        let broken = schema::broken(&patient).await;

        assert!(!diagnosis.healthy || *state == "warning", "healthy after {illness}");
        let found = diagnosis.found(state, check);
        assert!(found.iter().any(|message| message.contains(named)), "{illness}: {named} is not in {found:?}");
        if let Some(named) = by_suite {
            assert!(broken.iter().any(|message| message.contains(named)), "{illness}: {named} is not in {broken:?}");
        }
        let stayed = "select count(*) from companycam_photos.organizations";
        assert_eq!(patient.query_one(stayed, &[]).await.unwrap().try_get::<_, i64>(0).unwrap(), 0, "after {illness}");
        patient.batch_execute(recovery).await.unwrap();
        clinic.dismiss(&name, patient).await;
    }
}

#[tokio::test]
async fn doctor_examines_what_is_around_the_schema() {
    let clinic = Clinic::open("surroundings").await;

    let crowded = clinic.examine("photometa_app", "healthy", &["--replicas", "4"]);
    let enormous = clinic.examine("photometa_app", "healthy", &["--replicas", "65535", "--pool-size", "65535"]);
    let migrating = {
        let _migrating = Migrator::connect(&clinic.postgres.config("postgres", "healthy")).await.unwrap();
        clinic.examine("photometa_app", "healthy", &[])
    };
    let superuser = clinic.examine("postgres", "healthy", &[]);
    let nobody = clinic.examine("nobody_at_all", "healthy", &[]);
    let four = "org_admin, org_user, org_service, photometa_operator";
    let logins = format!(
        "create role maker login createrole; create role copier login replication; create role plain login noinherit;
         grant {four} to maker, copier, plain; grant usage on schema companycam_photos to maker, copier, plain;
         create role lacking login"
    );
    clinic.admin.batch_execute("create database logins template healthy").await.unwrap();
    connect(&clinic.postgres.config("postgres", "logins")).await.batch_execute(&logins).await.unwrap();
    let [maker, copier, plain, lacking] =
        ["maker", "copier", "plain", "lacking"].map(|user| clinic.examine(user, "logins", &[]));
    let nowhere = clinic.examine("photometa_app", "nowhere", &[]);

    let arithmetic = crowded.failed("connections").concat();
    assert!(arithmetic.starts_with("4 × (16 of the pool + 1 that migrates) = 68 of 57"), "{arithmetic}");
    assert!(enormous.failed("connections").concat().contains("= 4294901760 of 57"), "{:#}", enormous.report);
    assert!(migrating.healthy, "{:#}", migrating.report);
    assert_eq!(migrating.found("skipped", "isolation").len(), 1, "{:#}", migrating.report);
    assert!(superuser.failed("login role").concat().contains("postgres: it is a superuser"), "{:#}", superuser.report);
    assert!(maker.failed("login role").concat().contains("it may create roles"), "{:#}", maker.report);
    assert!(copier.failed("login role").concat().contains("it may replicate"), "{:#}", copier.report);
    assert!(
        lacking.failed("login role").concat().contains("may not become org_admin, org_service"),
        "{:#}",
        lacking.report
    );
    assert!(plain.healthy, "{:#}", plain.report);
    for unreachable in [nobody, nowhere] {
        assert!(unreachable.failed("connection").concat().contains("does not exist"), "{:#}", unreachable.report);
    }
    let before = connect(&clinic.postgres.config("postgres", "healthy")).await;
    let canaries = "select count(*) from companycam_photos.organizations";
    assert_eq!(before.query_one(canaries, &[]).await.unwrap().try_get::<_, i64>(0).unwrap(), 0, "canaries stayed");
}

#[tokio::test]
async fn doctor_says_how_far_the_schema_is() {
    let clinic = Clinic::open("standing").await;
    let behind = clinic.admit("behind").await;
    Migrator::connect(&clinic.postgres.config("postgres", "behind")).await.unwrap().down(6).await.unwrap();
    let old = clinic.admit("old").await;
    Migrator::connect(&clinic.postgres.config("postgres", "old")).await.unwrap().down(5).await.unwrap();
    let ahead = clinic.admit("ahead").await;
    let history = "companycam_photos.refinery_schema_history";
    ahead.batch_execute(&format!("insert into {history} values (999, 'future', now()::text, '0')")).await.unwrap();
    let edited = clinic.admit("edited").await;
    edited.batch_execute(&format!("update {history} set checksum = '1' where version = 2")).await.unwrap();
    clinic.admin.batch_execute("create database empty").await.unwrap();

    for (database, says) in [
        ("behind", "is at version 6, behind"),
        ("old", "is at version 5 or before, behind"),
        ("ahead", "is at version 999, and this program knows"),
        ("edited", "V0002__photos is not what was applied"),
        ("empty", "is at version 0, behind"),
    ] {
        let diagnosis = clinic.examine("photometa_app", database, &[]);

        let said = diagnosis.failed("version").concat();
        assert!(said.contains(says), "{database}: {said} {:#}", diagnosis.report);
        assert_eq!(diagnosis.found("skipped", "isolation").len(), 1, "{database}");
    }
    drop((behind, old, edited));
}

#[tokio::test]
async fn doctor_speaks_to_people_and_examines_a_running_private_database() {
    let folder = Folder::new("speaks");
    let _program = crate::program::serve(&folder.0);

    let output = photometa(&folder.0).arg("doctor").output().unwrap();

    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    assert!(text.lines().all(|line| line.starts_with("ok ")), "{text}");
    let attacks = text.split("two canary organizations: ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    assert!(attacks.is_some_and(|attacks: u32| attacks > 150), "{text}");
    assert!(!text.contains('\x1b'), "colours where nobody sees them");
}
