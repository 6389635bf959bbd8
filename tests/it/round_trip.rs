//! `photometa import coco` and `photometa export coco` as each other's inverses: what goes in comes out, and comes out
//! the same when it goes in again.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::program::{Folder, ORGANIZATION, PROJECT, Program, run, said, serve};

/// A server and a credential for it.
struct Server {
    folder: Folder,
    program: Program,
    token: String,
}

impl Server {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let program = serve(&folder.0);
        let token = run(&folder.0, &["token", "--role", "service", "--org", ORGANIZATION]);
        let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        Self { folder, program, token }
    }

    /// Runs a client command.
    fn run(&self, arguments: &[&str]) -> Output {
        let client = ["--address", self.program.address.as_str(), "--token", self.token.as_str()];
        run(&self.folder.0, &[arguments, &client].concat())
    }

    /// Runs one that succeeds, and answers what it printed.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn import(&self, file: &Path) -> String {
        self.done(&["import", "coco", file.to_str().unwrap(), "--project", PROJECT])
    }

    fn export(&self, file: &Path) -> Value {
        self.done(&["export", "coco", "-o", file.to_str().unwrap()]);
        read(file)
    }
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn write(file: &Path, value: &Value) {
    fs::write(file, value.to_string()).unwrap();
}

/// Four images: of objects in pieces, of a crowd and of what leaves its image, without annotations, and with scores.
fn data() -> Value {
    json!({
        "images": [
            {"id": 11, "file_name": "pieces.jpg", "width": 400, "height": 300, "date_captured": "2013-11-14 17:02:52"},
            {"id": 12, "file_name": "crowd.jpg", "width": 4, "height": 3, "coco_url": "https://example.com/crowd.jpg"},
            {"id": 13, "file_name": "nothing.jpg", "width": 33, "height": 77},
            {"id": 14, "file_name": "scores.jpg", "width": 333, "height": 77},
        ],
        "categories": [
            {"id": 0, "name": "crack", "supercategory": "damage"},
            {"id": 7, "name": "brick"},
            {"id": 3, "name": "unused", "supercategory": "material"},
        ],
        "annotations": [
            {"id": 1, "image_id": 11, "category_id": 7, "bbox": [10.1, 20.2, 30.3, 40.4], "area": 77.7, "iscrowd": 0,
             "segmentation": [[10.1, 20.2, 12.0, 20.2, 12.0, 22.0], [20.0, 30.0, 40.4, 30.0, 40.4, 60.6, 20.0, 60.6]]},
            {"id": 2, "image_id": 12, "category_id": 0, "bbox": [1, 0, 2, 3], "area": 6, "iscrowd": 1,
             "segmentation": {"size": [3, 4], "counts": [3, 6, 3]}},
            {"id": 3, "image_id": 11, "category_id": 0, "bbox": [-0.5, 290, 20, 10.75], "area": 180, "iscrowd": 0,
             "segmentation": [[-0.5, 290, 19.5, 290, 19.5, 300.75, -0.5, 300.75]]},
            {"id": 4, "image_id": 14, "category_id": 7, "bbox": [1.0 / 3.0, 7, 111, 7], "area": 777, "iscrowd": 0,
             "score": 0.1},
            {"id": 4, "image_id": 14, "category_id": 7, "bbox": [0, 0, 333, 77], "area": 25641, "iscrowd": 0,
             "score": 1.0},
        ],
    })
}

fn list<'a>(document: &'a Value, name: &str) -> &'a [Value] {
    document[name].as_array().unwrap()
}

fn annotations<'a>(document: &'a Value, file_name: &str) -> Vec<&'a Value> {
    let image = list(document, "images").iter().find(|image| image["file_name"] == file_name).unwrap();
    list(document, "annotations").iter().filter(|annotation| annotation["image_id"] == image["id"]).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Asserts that numbers are equal but for a millionth.
fn close(found: &Value, expected: &[f64]) {
    let found = numbers(found);
    let equal = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-6);
    assert!(equal, "{found:?} is not {expected:?}");
}

#[test]
fn export_writes_what_was_imported() {
    let server = Server::new("inverse");
    let file = server.folder.0.join("data.json");
    write(&file, &data());

    let told = server.import(&file);
    let out = server.export(&file);

    assert!(told.contains("4 photos (4 created, 0 unchanged), 4 detections with 5 objects"), "{told}");
    let mut images: Vec<_> =
        list(&out, "images").iter().map(|image| json!([image["file_name"], image["width"], image["height"]])).collect();
    images.sort_by_key(Value::to_string);
    assert_eq!(
        json!(images),
        json!([["crowd.jpg", 4, 3], ["nothing.jpg", 33, 77], ["pieces.jpg", 400, 300], ["scores.jpg", 333, 77]])
    );
    assert_eq!(
        out["categories"],
        json!([
            {"id": 0, "name": "crack", "supercategory": "damage"},
            {"id": 3, "name": "unused", "supercategory": "material"},
            {"id": 7, "name": "brick"},
        ])
    );

    let pieces = annotations(&out, "pieces.jpg");
    assert_eq!(
        (&pieces[0]["category_id"], &pieces[0]["area"], &pieces[0]["iscrowd"]),
        (&json!(7), &json!(77.7), &json!(0))
    );
    close(&pieces[0]["bbox"], &[10.1, 20.2, 30.3, 40.4]);
    // The largest ring is the first one.
    close(&pieces[0]["segmentation"][0], &[20.0, 30.0, 40.4, 30.0, 40.4, 60.6, 20.0, 60.6]);
    close(&pieces[0]["segmentation"][1], &[10.1, 20.2, 12.0, 20.2, 12.0, 22.0]);
    close(&pieces[1]["bbox"], &[0.0, 290.0, 19.5, 10.0]);
    close(&pieces[1]["segmentation"][0], &[0.0, 290.0, 19.5, 290.0, 19.5, 300.0, 0.0, 300.0]);

    let crowd = annotations(&out, "crowd.jpg");
    assert_eq!(crowd[0]["segmentation"], json!({"size": [3, 4], "counts": [3, 6, 3]}));
    assert_eq!((&crowd[0]["iscrowd"], &crowd[0]["area"]), (&json!(1), &json!(6.0)));

    let scores = annotations(&out, "scores.jpg");
    assert_eq!((&scores[0]["score"], &scores[1]["score"]), (&json!(0.1), &json!(1.0)));
    assert_eq!((&scores[0]["object_id"], &scores[1]["object_id"]), (&json!("4"), &json!("4-2")));
    close(&scores[0]["bbox"], &[1.0 / 3.0, 7.0, 111.0, 7.0]);
    assert_eq!(scores[0]["segmentation"], json!([]));
    assert!(annotations(&out, "nothing.jpg").is_empty());
}

#[test]
fn import_of_an_export_changes_nothing_and_makes_the_same_bytes_elsewhere() {
    let (here, there) = (Server::new("here"), Server::new("there"));
    let [file, first, second] = ["data.json", "first.json", "second.json"].map(|name| here.folder.0.join(name));
    write(&file, &data());
    here.import(&file);
    here.export(&first);

    let again = here.import(&first);
    let elsewhere = there.done(&["import", "coco", first.to_str().unwrap()]);
    there.export(&second);

    assert!(again.contains("4 photos (0 created, 4 unchanged), 4 detections with 5 objects (0 created, 4 "), "{again}");
    assert!(elsewhere.contains("4 photos (4 created, 0 unchanged)"), "{elsewhere}");
    assert_eq!(fs::read_to_string(&first).unwrap(), fs::read_to_string(&second).unwrap());
}

#[test]
fn predictions_on_an_export_belong_to_its_photos() {
    let server = Server::new("predicted");
    let [file, predictions, out] = ["data.json", "predictions.json", "out.json"].map(|name| server.folder.0.join(name));
    write(&file, &data());
    server.import(&file);
    let exported = server.export(&file);
    let image =
        |name: &str| list(&exported, "images").iter().find(|image| image["file_name"] == name).unwrap()["id"].clone();
    write(
        &predictions,
        &json!([
            {"image_id": image("nothing.jpg"), "category_id": 3, "bbox": [1.5, 2.5, 3, 4], "score": 0.25},
            {"image_id": image("scores.jpg"), "category_id": 7, "segmentation": [[1, 1, 9, 1, 9, 9]], "score": 0.5},
        ]),
    );
    let [name, from, to] = [&file, &predictions, &out].map(|path| path.to_str().unwrap());

    let told = server.done(&["import", "coco", name, "--predictions", from, "--model-version", "cracks-7"]);
    server.done(&["export", "coco", "-o", to, "--model-version", "cracks-7"]);

    assert!(told.contains("4 photos (0 created, 4 unchanged), 4 detections with 2 objects (4 created, 0 "), "{told}");
    let out = read(&out);
    let ids = |document: &Value| -> Vec<Value> {
        list(document, "images").iter().map(|image| json!([image["file_name"], image["photo_id"]])).collect()
    };
    assert_eq!(ids(&out), ids(&exported));
    let [nothing, scores] = ["nothing.jpg", "scores.jpg"].map(|name| annotations(&out, name));
    assert_eq!((nothing.len(), scores.len(), list(&out, "annotations").len()), (1, 1, 2));
    close(&nothing[0]["bbox"], &[1.5, 2.5, 3.0, 4.0]);
    assert_eq!((&nothing[0]["category_id"], &nothing[0]["score"]), (&json!(3), &json!(0.25)));
    close(&scores[0]["segmentation"][0], &[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]);
    close(&scores[0]["bbox"], &[1.0, 1.0, 8.0, 8.0]);
}

#[test]
fn exports_in_pixels_of_the_stored_image_come_back_to_their_place() {
    let (here, there) = (Server::new("turned"), Server::new("turned-there"));
    let file = here.folder.0.join("data.json");
    let images: Vec<Value> = (1..=8)
        .map(|orientation| {
            let id = format!("00000000-0000-8000-8000-00000000000{orientation}");
            json!({"id": orientation, "file_name": format!("{orientation}.jpg"), "width": 400, "height": 300,
                   "photo_id": id, "exif_orientation": orientation})
        })
        .collect();
    let annotation = |id: i32| {
        json!({"id": id, "image_id": id, "category_id": 1, "bbox": [0, 10, 50, 60],
               "segmentation": [[0, 10, 50, 10, 50, 70]]})
    };
    let annotations: Vec<Value> = (1..=8).map(annotation).collect();
    let categories = json!([{"id": 1, "name": "crack"}]);
    write(
        &file,
        &json!({"info": {"frame": "stored"}, "images": images, "annotations": annotations, "categories": categories}),
    );
    here.import(&file);
    let export = |server: &Server, frame: &str| {
        let out = server.folder.0.join("out.json");
        server.done(&["export", "coco", "-o", out.to_str().unwrap(), "--frame", frame]);
        out
    };

    let stored = read(&export(&here, "stored"));
    let upright = export(&here, "upright");
    there.done(&["import", "coco", upright.to_str().unwrap()]);
    let back = read(&export(&there, "stored"));

    for annotation in list(&stored, "annotations") {
        close(&annotation["bbox"], &[0.0, 10.0, 50.0, 60.0]);
        close(&annotation["segmentation"][0], &[0.0, 10.0, 50.0, 10.0, 50.0, 70.0]);
    }
    assert_eq!(list(&stored, "annotations").len(), 8);
    for (one, other) in list(&stored, "annotations").iter().zip(list(&back, "annotations")) {
        close(&other["bbox"], &numbers(&one["bbox"]));
        close(&other["segmentation"][0], &numbers(&one["segmentation"][0]));
    }
    assert_eq!(back["images"], stored["images"]);
}

#[test]
fn splits_are_three_files_and_standard_output_is_the_one() {
    let server = Server::new("split");
    let [file, out] = ["data.json", "out.json"].map(|name| server.folder.0.join(name));
    write(&file, &data());
    server.import(&file);
    let name = out.to_str().unwrap();

    let split = ["--split-by", "photo", "--validation", "30", "--test", "30", "--seed", "s"];
    let told = server.done(&[&["export", "coco", "-o", name][..], &split].concat());
    let whole: Value = serde_json::from_str(&server.done(&["export", "coco", "-o", "-"])).unwrap();
    let lines = server.done(&["export", "coco", "-o", "-", "--json-lines"]);
    let refused = server.run(&["export", "coco", "-o", "-", "--split-by", "photo"]);

    assert!(told.starts_with("exported 4 images, 5 annotations, 0 negatives to "), "{told}");
    let parts = ["train", "validation", "test"].map(|part| read(&server.folder.0.join(format!("out.{part}.json"))));
    let mut names: Vec<&Value> =
        parts.iter().flat_map(|part| list(part, "images")).map(|image| &image["file_name"]).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["crowd.jpg", "nothing.jpg", "pieces.jpg", "scores.jpg"]);
    assert_eq!(list(&whole, "images").len(), 4);
    assert_eq!(lines.lines().count(), 4);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("three files"), "{}", said(&refused));
    assert!(server.folder.files().iter().all(|name| !name.contains(".part")), "{:?}", server.folder.files());
}

#[test]
fn export_that_is_refused_leaves_the_file_as_it_was() {
    let server = Server::new("refused");
    let out = server.folder.0.join("out.json");
    fs::write(&out, "of before").unwrap();
    let unknown = "00000000-0000-8000-8000-000000000009";

    let output = server.run(&["export", "coco", "-o", out.to_str().unwrap(), "--project", unknown]);

    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("PROJECT_NOT_FOUND"), "{}", said(&output));
    assert_eq!(fs::read_to_string(&out).unwrap(), "of before");
    assert!(!server.folder.0.join("out.json.part").exists());
}

#[test]
fn import_tells_what_a_list_is_and_what_predictions_need() {
    let folder = Folder::made("list");
    let file = folder.0.join("predictions.json");
    fs::write(&file, " [{\"image_id\": 1, \"category_id\": 1, \"bbox\": [0, 0, 1, 1], \"score\": 0.5}]").unwrap();
    let name = file.to_str().unwrap();

    let list = run(&folder.0, &["import", "coco", name, "--project", PROJECT]);
    let unnamed = run(&folder.0, &["import", "coco", name, "--predictions", name]);

    assert_eq!(list.status.code(), Some(1));
    assert!(said(&list).contains("--predictions PREDICTIONS.json --model-version NAME"), "{}", said(&list));
    assert_eq!(unnamed.status.code(), Some(2));
    assert!(said(&unnamed).contains("--model-version"), "{}", said(&unnamed));
}

#[test]
fn import_keeps_the_numbers_that_labels_have() {
    let server = Server::new("numbered");
    let file = server.folder.0.join("data.json");
    write(&file, &data());
    server.import(&file);
    let other = json!({"images": [], "categories": [{"id": 1, "name": "crack"}, {"id": 7, "name": "new"}]});
    write(&file, &other);

    let output = server.run(&["import", "coco", file.to_str().unwrap(), "--project", PROJECT]);

    assert!(output.status.success(), "{}", said(&output));
    let told = "2 labels have other category ids here than in the file: \"crack\" is 0, not 1, \"new\" is 8, not 7";
    assert!(said(&output).contains(told), "{}", said(&output));
}
