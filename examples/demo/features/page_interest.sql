-- What a contact looked at lately, as shares of all views of the last 60 days; NULL without a view.
SELECT
  entities.contact_id,
  entities.as_of,
  avg(CAST(events.event_type = 'loan_view' AS INTEGER)) AS loan_view_share_60d,
  avg(CAST(events.event_type = 'savings_view' AS INTEGER)) AS savings_view_share_60d,
  avg(CAST(events.event_type = 'card_view' AS INTEGER)) AS card_view_share_60d
FROM entities
LEFT JOIN events
  ON events.contact_id = entities.contact_id
  AND events.occurred_at < entities.as_of
  AND events.occurred_at >= entities.as_of - INTERVAL 60 DAY
  AND events.event_type IN ('page_view', 'loan_view', 'savings_view', 'card_view')
GROUP BY entities.contact_id, entities.as_of
