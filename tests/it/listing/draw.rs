//! Requests at random. Most fields are drawn around a row that is there, so that many of them together still find
//! something; some are drawn around other rows, and find nothing or little.

use photometa::pb;
use uuid::Uuid;

use super::grow::{CONFIDENCES, LABELS, LATITUDES, LONGITUDES, MODELS, PREFIXES, SPELLINGS, TYPES};
use super::request::Request;
use super::rows::{Detection, Photo, World, folded, time};
use crate::harness::B;
use crate::random::Random;

/// Draws requests.
pub struct Draw<'a> {
    /// What is there.
    pub world: &'a World,
    /// Decides.
    pub random: &'a mut Random,
    /// Each field is asked for in one of so many requests.
    rare: usize,
    /// The row that everything is drawn around, unless each field has its own.
    example: Option<&'a Photo>,
}

impl<'a> Draw<'a> {
    /// Draws around a row of this world.
    pub fn new(world: &'a World, random: &'a mut Random) -> Self {
        let rare = random.pick(&[2, 4, 8]);
        let example = (!random.one_in(8)).then(|| &world.photos[random.below(world.photos.len())]);
        Self { world, random, rare, example }
    }

    /// Any list.
    pub fn request(&mut self) -> Request {
        match self.random.below(12) {
            0..6 => Request::Photos(Box::new(self.photos())),
            6..9 => Request::Detections(self.detections()),
            9 => Request::Queue(self.queue()),
            10 => Request::TagCounts(self.tag_counts()),
            _ => Request::Feedback(self.feedback()),
        }
    }

    /// ListPhotos.
    pub fn photos(&mut self) -> pb::ListPhotosRequest {
        let orders = ["", "create_time desc", "create_time", "capture_time desc", "capture_time"];
        pb::ListPhotosRequest {
            filter: Some(self.photo_filter()),
            order_by: self.random.pick(&orders).to_owned(),
            view: self.random.number(4),
            ..Default::default()
        }
    }

    fn photo_filter(&mut self) -> pb::PhotoFilter {
        let mut filter = pb::PhotoFilter {
            project_ids: self.maybe(Self::project_ids).unwrap_or_default(),
            user_ids: self.maybe(Self::user_ids).unwrap_or_default(),
            create_time: self.maybe(|draw| draw.range(|photo| Some(photo.created))),
            capture_time: self.maybe(|draw| draw.range(|photo| photo.captured)),
            upload_time: self.maybe(|draw| draw.range(|photo| Some(photo.uploaded))),
            tags_all: self.maybe(Self::tags_all).unwrap_or_default(),
            tags_any: self.maybe(Self::tags_any).unwrap_or_default(),
            tags_none: self.maybe(Self::tags_none).unwrap_or_default(),
            detection: self.maybe(Self::seen),
            without_detection: self.maybe(Self::without),
            geo_box: self.maybe(Self::geo_box),
            s3_key_prefix: self.maybe(Self::prefix).unwrap_or_default(),
        };
        settle(&mut filter);
        filter
    }

    /// ListDetections.
    fn detections(&mut self) -> pb::ListDetectionsRequest {
        let example = self.detection();
        let ids: Vec<_> = self.world.photos.iter().map(|photo| photo.id.to_string()).collect();
        let around = example.map(|detection| detection.photo.to_string());
        let seen = self.seen();
        let min_confidence = seen.min_confidence;
        let above = move |most: &f64| min_confidence.is_none_or(|least| least <= *most);
        let filter = pb::DetectionFilter {
            photo_ids: self.maybe(|draw| draw.several(around, &ids)).unwrap_or_default(),
            project_ids: self.maybe(Self::project_ids).unwrap_or_default(),
            types: seen.types,
            model_versions: seen.model_versions,
            min_confidence,
            max_confidence: self.maybe(|draw| draw.random.pick(&CONFIDENCES)).flatten().filter(above),
            labels: seen.labels,
            user_confirmed: seen.user_confirmed,
            create_time: self.maybe(|draw| {
                let times: Vec<_> = draw.world.detections.iter().map(|detection| detection.created).collect();
                draw.range_among(example.map(|detection| detection.created), &times)
            }),
        };
        pb::ListDetectionsRequest {
            filter: Some(filter),
            order_by: self.random.pick(&["", "create_time desc", "create_time"]).to_owned(),
            view: self.random.number(3),
            ..Default::default()
        }
    }

    /// ListPendingDetections.
    fn queue(&mut self) -> pb::ListPendingDetectionsRequest {
        let example = self.detection();
        pb::ListPendingDetectionsRequest {
            project_ids: self.maybe(Self::project_ids).unwrap_or_default(),
            types: self.maybe(|draw| draw.types(example)).unwrap_or_default(),
            strategy: self.random.number(3),
            ..Default::default()
        }
    }

    /// ListTagCounts.
    fn tag_counts(&mut self) -> pb::ListTagCountsRequest {
        let prefixes = ["r", "ROOF", "roof ", "é", "É", "a%", "a_", "w", "日", "x"];
        pb::ListTagCountsRequest {
            project_id: self.maybe(|draw| draw.example().project.to_string()),
            prefix: self.maybe(|draw| draw.random.pick(&prefixes).to_owned()).unwrap_or_default(),
            order_by: self.random.pick(&["", "count desc", "tag"]).to_owned(),
            ..Default::default()
        }
    }

    /// ListFeedback.
    fn feedback(&mut self) -> pb::ListFeedbackRequest {
        let feedback = &self.world.feedback[self.random.below(self.world.feedback.len())];
        let times: Vec<_> = self.world.feedback.iter().map(|feedback| feedback.created).collect();
        pb::ListFeedbackRequest {
            detection_id: self.maybe(|_| feedback.detection.to_string()),
            photo_id: self.maybe(|_| feedback.photo.to_string()),
            user_id: self.maybe(|_| feedback.user.to_string()),
            create_time: self.maybe(|draw| draw.range_among(Some(feedback.created), &times)),
            ..Default::default()
        }
    }

    fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.random.one_in(self.rare).then(|| draw(self))
    }

    fn example(&mut self) -> &'a Photo {
        self.example.unwrap_or_else(|| &self.world.photos[self.random.below(self.world.photos.len())])
    }

    /// One on the example, if there is one.
    fn detection(&mut self) -> Option<&'a Detection> {
        let photo = self.example().id;
        let detections: Vec<_> = self.world.detections_on(photo).collect();
        (!detections.is_empty()).then(|| self.random.pick(&detections))
    }

    /// A value, with none, some or many others, in any order; one of them may be there twice.
    fn several<T: Clone>(&mut self, value: Option<T>, all: &[T]) -> Vec<T> {
        let others = self.random.pick(&[0, 0, 1, 1, 3, 3, 20]);
        let mut values: Vec<_> = (0..others).map(|_| all[self.random.below(all.len())].clone()).collect();
        values.extend(value);
        if values.is_empty() || self.random.one_in(4) {
            values.push(values.first().unwrap_or(&all[0]).clone());
        }
        self.random.shuffle(&mut values);
        values
    }

    fn ids(&mut self, id: Option<Uuid>, all: &[Uuid]) -> Vec<String> {
        self.several(id, all).into_iter().map(|id| id.to_string()).collect()
    }

    fn project_ids(&mut self) -> Vec<String> {
        let project = self.example().project;
        let all = [&self.world.projects[..], &[B.house, self.random.uuid()]].concat();
        self.ids(Some(project), &all)
    }

    fn user_ids(&mut self) -> Vec<String> {
        let user = self.example().user;
        let all = [&self.world.people[..], &[B.member, self.random.uuid()]].concat();
        self.ids(user, &all)
    }

    /// A range that begins or ends at times of rows, which makes edges of them.
    fn range(&mut self, of: impl Fn(&Photo) -> Option<i64>) -> pb::TimeRange {
        let times: Vec<_> = self.world.photos.iter().filter_map(&of).collect();
        let example = of(self.example());
        self.range_among(example, &times)
    }

    fn range_among(&mut self, inside: Option<i64>, times: &[i64]) -> pb::TimeRange {
        let inside = inside.unwrap_or_else(|| self.random.pick(times));
        let (start, end) = (self.random.pick(times).min(inside), self.random.pick(times).max(inside + 1));
        let start = (!self.random.one_in(3)).then(|| time(start));
        pb::TimeRange { end: (start.is_none() || !self.random.one_in(3)).then(|| time(end)), start }
    }

    /// Tags of the example, in any case and with white space.
    fn tags_all(&mut self) -> Vec<String> {
        let photo = self.example();
        let number = 1 + self.random.below(3);
        let words = (0..number).map(|_| match photo.tags.as_slice() {
            [] => self.random.pick(&SPELLINGS).to_owned(),
            tags => tags[self.random.below(tags.len())].0.clone(),
        });
        let words: Vec<_> = words.collect();
        words.into_iter().map(|word| self.written(&word)).collect()
    }

    fn tags_any(&mut self) -> Vec<String> {
        let tag = self.example().tags.first().map(|(tag, _)| tag.clone());
        let all = SPELLINGS.map(str::to_owned);
        self.several(tag, &all).into_iter().map(|word| self.written(&word)).collect()
    }

    /// None of the example's.
    fn tags_none(&mut self) -> Vec<String> {
        let photo = self.example();
        let mut tags: Vec<_> = SPELLINGS.into_iter().filter(|word| !photo.carries(word)).collect();
        self.random.shuffle(&mut tags);
        tags.truncate(1 + self.random.below(4));
        tags.into_iter().map(|word| self.written(word)).collect()
    }

    fn written(&mut self, word: &str) -> String {
        match self.random.below(4) {
            0 => word.to_lowercase(),
            1 if word != "ß" => word.to_uppercase(),
            2 => format!("  {word} "),
            _ => word.to_owned(),
        }
    }

    fn types(&mut self, example: Option<&Detection>) -> Vec<i32> {
        let kinds = TYPES.map(i32::from);
        let kind = example.map_or(kinds[0], |detection| detection.kind.into());
        let mut types: Vec<_> = kinds.into_iter().filter(|_| self.random.one_in(3)).collect();
        types.push(kind);
        types
    }

    fn seen(&mut self) -> pb::PhotoDetectionFilter {
        let example = self.detection();
        let (models, labels) = (MODELS.map(str::to_owned), LABELS.map(str::to_owned));
        let model = example.map(|detection| detection.model.clone());
        let label = example.and_then(|detection| detection.labels.first().cloned());
        let least = example.map_or_else(|| self.random.pick(&CONFIDENCES), |detection| detection.confidence);
        let confirmed = example.map_or_else(|| self.random.one_in(2), Detection::is_confirmed);
        pb::PhotoDetectionFilter {
            types: self.maybe(|draw| draw.types(example)).unwrap_or_default(),
            model_versions: self.maybe(|draw| draw.several(model, &models)).unwrap_or_default(),
            min_confidence: self.maybe(|_| least).flatten(),
            labels: self.maybe(|draw| draw.several(label, &labels)).unwrap_or_default(),
            user_confirmed: self.maybe(|_| confirmed),
        }
    }

    /// A model that has not looked at the example, if there is one.
    fn without(&mut self) -> pb::PhotoWithoutDetectionFilter {
        let photo = self.example().id;
        let mut pairs: Vec<_> = TYPES.into_iter().flat_map(|kind| MODELS.map(|model| (kind, model))).collect();
        self.random.shuffle(&mut pairs);
        let looked = |(kind, model): &(pb::DetectionType, &str)| {
            self.world.detections_on(photo).any(|seen| seen.kind == *kind && seen.model == *model)
        };
        let (kind, model) = pairs.iter().copied().find(|pair| !looked(pair)).unwrap_or(pairs[0]);
        pb::PhotoWithoutDetectionFilter { r#type: kind.into(), model_version: model.to_owned() }
    }

    /// Around the example, with sides on which photos lie, now and then across the 180th meridian.
    fn geo_box(&mut self) -> pb::GeoBox {
        let drawn = (self.random.pick(&LATITUDES), self.random.pick(&LONGITUDES));
        let (latitude, longitude) = self.example().place.unwrap_or(drawn);
        let (mut west, mut east) = (self.random.pick(&LONGITUDES), self.random.pick(&LONGITUDES));
        if self.random.one_in(3) {
            (west, east) = (west.max(170.0), east.min(-170.0));
        } else if longitude < west || longitude > east {
            (west, east) = (west.min(longitude), east.max(longitude));
        }
        pb::GeoBox {
            south: Some(self.random.pick(&LATITUDES).min(latitude)),
            west: Some(west),
            north: Some(self.random.pick(&LATITUDES).max(latitude)),
            east: Some(east),
        }
    }

    fn prefix(&mut self) -> String {
        let key = &self.example().s3_key;
        let characters = 1 + self.random.below(key.chars().count());
        if self.random.one_in(3) {
            return self.random.pick(&PREFIXES).to_owned();
        }
        key.chars().take(characters).collect()
    }
}

/// Takes out what the service refuses as a contradiction.
fn settle(filter: &mut pb::PhotoFilter) {
    let pb::PhotoFilter { tags_all, tags_any, tags_none, detection, without_detection, .. } = filter;
    let has = |tags: &[String], tag: &str| tags.iter().any(|other| folded(other) == folded(tag));
    tags_none.retain(|tag| !has(tags_all, tag));
    if !tags_any.is_empty() && tags_any.iter().all(|tag| has(tags_none, tag)) {
        tags_none.clear();
    }
    let only = without_detection.as_ref().is_some_and(|without| {
        detection.as_ref().is_some_and(|seen| {
            let types = !seen.types.is_empty() && seen.types.iter().all(|kind| *kind == without.r#type);
            let models = !seen.model_versions.is_empty();
            types && models && seen.model_versions.iter().all(|model| *model == without.model_version)
        })
    });
    if only {
        *without_detection = None;
    }
}
