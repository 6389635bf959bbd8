-- The database checks the shape of `results`, `user_feedback` and `edits` too, for whoever writes past the service. The
-- checks hold the main rules of migrations/json/; migrations/README.md says what they leave out, and why.
-- They bind what is written from now on. Rows that are there are read by the next version, under a lock that hinders
-- nobody; this one reads none, and so has no bracket.
-- Old code meanwhile: sees no difference. Undo: undo/U0008__json_checks.sql, which reads every row.

set local citus.multi_shard_modify_mode = 'sequential';

-- How the paths read: there is no element for which it cannot be shown that it is as it must be. `exists(@ ? (…))` is
-- false, not unknown, where a member is missing or of another type, so that neither slips through; `is true` does the
-- same for the whole. Only a string starts with "". Sums may pass 1 by a millionth, the rounding of fractions.
-- A side may be 0 or a little less: old code kept such boxes, cut off at the image's edge. It let pixels lie outside by
-- a millionth of the image's longer side, which is 0.01 of a side that is ten thousand times shorter.
do $$ begin
    alter table companycam_photos.detections drop constraint detections_results_check;
    alter table companycam_photos.detections add constraint detections_results_check check ((
        jsonb_typeof(results -> 'objects') = 'array'
        and jsonb_array_length(results -> 'objects') <= 1000
        and results @@ '!exists($.objects[*] ? (
            !exists(@ ? (@.object_id starts with "" && @.label starts with ""))
            || exists(@.confidence ? (!exists(@ ? (@ >= 0 && @ <= 1))))
            || exists(@.box ? (!exists(@ ? (@.x >= 0 && @.y >= 0 && @.width > -0.01 && @.height > -0.01
                && @.x + @.width <= 1.000001 && @.y + @.height <= 1.000001))))
            || exists(@.polygon ? (!exists(@ ? (@.points.size() >= 3))))))'
    ) is true) not valid;
end $$;

do $$ begin
    alter table companycam_photos.detections drop constraint detections_user_feedback_check;
    alter table companycam_photos.detections add constraint detections_user_feedback_check check (user_feedback is null or (
        user_feedback ->> 'verdict' in ('confirm', 'reject', 'correct')
        and jsonb_typeof(user_feedback -> 'edits') = 'array'
        and jsonb_array_length(user_feedback -> 'edits') <= 1000
        and (user_feedback ->> 'verdict' = 'correct') = (jsonb_array_length(user_feedback -> 'edits') > 0)
        and user_feedback @@ '$.feedback_id starts with "" && $.user_id starts with ""
            && $.comment starts with "" && $.create_time starts with ""'
        and user_feedback @@ '!exists($.edits[*] ? (!exists(@ ? (
            exists(@.remove ? (@.object_id starts with ""))
            || exists(@.relabel ? (@.object_id starts with "" && @.label starts with ""))
            || exists(@.move ? (@.object_id starts with "" && exists(@.box ? (@.x >= 0 && @.y >= 0 && @.width > -0.01
                && @.height > -0.01 && @.x + @.width <= 1.000001 && @.y + @.height <= 1.000001))))
            || exists(@.add.object ? (!(
                !exists(@ ? (@.object_id starts with "" && @.label starts with ""))
                || exists(@.confidence ? (!exists(@ ? (@ >= 0 && @ <= 1))))
                || exists(@.box ? (!exists(@ ? (@.x >= 0 && @.y >= 0 && @.width > -0.01 && @.height > -0.01
                    && @.x + @.width <= 1.000001 && @.y + @.height <= 1.000001))))
                || exists(@.polygon ? (!exists(@ ? (@.points.size() >= 3)))))))))))'
    ) is true) not valid;
end $$;

do $$ begin
    alter table companycam_photos.feedback drop constraint feedback_edits_check;
    alter table companycam_photos.feedback add constraint feedback_edits_check check ((
        jsonb_typeof(edits) = 'array'
        and jsonb_array_length(edits) <= 1000
        and (verdict = 'correct') = (jsonb_array_length(edits) > 0)
        and edits @@ '!exists($[*] ? (!exists(@ ? (
            exists(@.remove ? (@.object_id starts with ""))
            || exists(@.relabel ? (@.object_id starts with "" && @.label starts with ""))
            || exists(@.move ? (@.object_id starts with "" && exists(@.box ? (@.x >= 0 && @.y >= 0 && @.width > -0.01
                && @.height > -0.01 && @.x + @.width <= 1.000001 && @.y + @.height <= 1.000001))))
            || exists(@.add.object ? (!(
                !exists(@ ? (@.object_id starts with "" && @.label starts with ""))
                || exists(@.confidence ? (!exists(@ ? (@ >= 0 && @ <= 1))))
                || exists(@.box ? (!exists(@ ? (@.x >= 0 && @.y >= 0 && @.width > -0.01 && @.height > -0.01
                    && @.x + @.width <= 1.000001 && @.y + @.height <= 1.000001))))
                || exists(@.polygon ? (!exists(@ ? (@.points.size() >= 3)))))))))))'
    ) is true) not valid;
end $$;
