//! The versions of the checks, on databases that are older: what the service wrote stays, and what it never wrote is
//! named.

use photometa::db::migrate::{Migrator, VERSIONS};
use photometa::geometry::{Rectangle, upright};
use serde_json::{Value, json};
use uuid::Uuid;

use super::database::{SET_EDITS, SET_FEEDBACK, SET_RESULTS, arrange, edits, results, user_feedback, write};
use crate::harness::App;
use crate::program::{Folder, said};

/// How many versions there were before the checks.
fn before() -> u32 {
    let checks = VERSIONS.iter().position(|version| version.name.ends_with("__json_checks"));
    checks.unwrap().try_into().unwrap()
}

/// The version before the checks, with rows of its time.
async fn before_the_checks() -> (App, Uuid, Migrator) {
    let app = App::start().await;
    let id = arrange(&app).await;
    let mut migrator = Migrator::connect(&app.database.superuser()).await.unwrap();
    migrator.down(before()).await.unwrap();
    (app, id, migrator)
}

async fn not_validated(app: &App) -> i64 {
    app.count("select count(*) from pg_constraint where contype = 'c' and not convalidated").await
}

/// Sides and where they begin as a client gave them, and the image's: what used to be let through.
const CUT: [(f64, f64); 5] =
    [(1.0, 0.5e-6), (1.0 + 9e-7, 5e-8), (1.000_001, 5e-324), (0.5, 5e-324), (1.0 - f64::EPSILON, 1.0e-6)];

/// Boxes as they were kept before those of which nothing is left were refused: cut off at the image's edge, whether
/// given in fractions or, for any orientation, in pixels.
fn boxes() -> Vec<Value> {
    let kept = |found: Rectangle| json!({"x": found.x, "y": found.y, "width": found.width, "height": found.height});
    let mut boxes = Vec::new();
    for (begin, side) in CUT {
        assert!(begin + side <= 1.000_001, "{begin} {side}");
        let side: f64 = side.min(1.0 - begin);
        boxes.push(kept(Rectangle { x: begin, y: 0.25, width: side, height: 0.5 }));
        boxes.push(kept(Rectangle { x: begin, y: begin, width: side, height: side }));
    }
    // The room for rounding was that of the longer side, on both axes.
    for (width, height) in [(400.0, 200.0), (4000.0, 3000.0), (60_000.0, 100.0), (100.0, 60_000.0)] {
        let slack = 1e-6 * f64::max(width, height);
        for orientation in 1..=8 {
            for room in [0.0, 0.5, 1.0] {
                let (x, y) = (width + room * slack, height + room * slack);
                for pixels in [
                    Rectangle { x, y: 1.0, width: width - x, height: 5.0 },
                    Rectangle { x: 1.0, y, width: 5.0, height: height - y },
                    Rectangle { x, y, width: width - x, height: height - y },
                ] {
                    boxes.push(kept(upright(pixels, (width, height), orientation)));
                }
            }
        }
    }
    boxes
}

#[tokio::test]
async fn up_takes_every_box_that_the_service_used_to_keep() {
    let (app, id, mut migrator) = before_the_checks().await;
    let boxes = boxes();
    let flat = |side: &str, most: f64| boxes.iter().filter(|kept| kept[side].as_f64().unwrap() <= most).count();
    assert!(flat("width", 0.0) > 50 && flat("height", 0.0) > 50 && flat("width", -1e-6) > 20, "{boxes:?}");
    let objects = boxes.iter().map(|kept| json!({"object_id": Uuid::now_v7(), "label": "crack", "box": kept}));
    let results = json!({"objects": objects.clone().collect::<Vec<_>>()});
    let added = objects.map(|object| json!({"add": {"object": object}}));
    let moved = boxes.iter().map(|kept| json!({"move": {"object_id": "1", "box": kept}}));
    let edits: Value = added.chain(moved).collect();
    let shown = user_feedback(&edits);
    let kept = [(SET_RESULTS, &results), (SET_FEEDBACK, &shown), (SET_EDITS, &edits)];
    for (statement, document) in kept {
        assert_eq!(write(&app, statement, document, id).await.unwrap(), 1);
    }

    let applied = migrator.up().await.unwrap();

    assert_eq!(applied.len(), VERSIONS.len() - before() as usize);
    assert_eq!(not_validated(&app).await, 0);
    // An old replica beside the new schema goes on writing them.
    for (statement, document) in kept {
        assert_eq!(write(&app, statement, document, id).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn up_reads_no_row_under_the_lock_that_keeps_everybody_out() {
    let (app, id, mut migrator) = before_the_checks().await;
    let wrong = json!({"objects": [{"label": "crack"}]});
    write(&app, SET_RESULTS, &wrong, id).await.unwrap();

    migrator.up_to(before() + 1).await.unwrap();

    assert_eq!(not_validated(&app).await, 3);
    write(&app, SET_RESULTS, &wrong, id).await.expect_err("what is written from now on is checked");
}

#[tokio::test]
async fn up_names_the_constraint_and_the_query_the_row_when_one_breaks_it() {
    for (statement, constraint, broken, right) in [
        (SET_RESULTS, "detections_results_check", json!({"objects": [{"label": "crack"}]}), results()),
        (SET_FEEDBACK, "detections_user_feedback_check", json!({"verdict": "maybe"}), user_feedback(&edits())),
        (SET_EDITS, "feedback_edits_check", json!([]), edits()),
    ] {
        let (app, id, mut migrator) = before_the_checks().await;
        write(&app, statement, &broken, id).await.unwrap();

        // Rows are read whoever owns them: the migrating role itself sees none, and no version lifts the force.
        let error = migrator.up().await.unwrap_err().to_string();

        assert!(error.contains(constraint), "{error}");
        assert_eq!(migrator.current().await.unwrap(), Some(before() + 1));
        let forced =
            "select count(*) from pg_class where relname in ('detections', 'feedback') and relforcerowsecurity";
        assert_eq!(app.count(forced).await, 2);
        let named = advised(&app);
        let query = "select organization_id::text || '|' || id from companycam_photos.feedback where $1
                     union all select organization_id::text || '|' || id from companycam_photos.detections where not $1";
        let row = app.postgres.query(query, &[&(constraint == "feedback_edits_check")]).await.unwrap().swap_remove(0);
        assert_eq!(named, format!("{constraint}|{}\n", row.try_get::<_, String>(0).unwrap()));
        write(&app, statement, &right, id).await.unwrap();
        assert_eq!(migrator.up().await.unwrap().len(), VERSIONS.len() - before() as usize - 1);
        assert_eq!(not_validated(&app).await, 0);
    }
}

/// What the query in the head of the version answers whoever reads past row security.
fn advised(app: &App) -> String {
    let version = VERSIONS.iter().find(|version| version.name.ends_with("__json_checks_validated")).unwrap();
    let lines = version.up.lines().filter_map(|line| line.strip_prefix("--     "));
    let query = lines.collect::<Vec<_>>().join("\n");
    let mut psql = app.database.command("psql", "postgres");
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
    // From a file, because --command takes no \gexec.
    let file = Folder::made("advised");
    std::fs::write(file.0.join("query.sql"), format!("set role photometa_backup;\n{query}\n")).unwrap();
    let output = psql.arg("--file").arg(file.0.join("query.sql")).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}
