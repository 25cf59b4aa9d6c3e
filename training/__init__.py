"""How do we learn, prove and publish?

Reads the contract tables and Feast's historical features, fits the three served models, proves them on rows they have not seen, and
publishes them to MLflow. A shell room: it may import `features`, `ledger` and the pure rooms, never `serving` or `simulation`.

=================== ==============================================================================================
file                holds
=================== ==============================================================================================
run.py              all of it, in order: `train`
context.py          what a training run needs (`TrainingContext`) and what it returns (`TrainingReport`)
steps.py            how far it is
moments.py          until when a training run reads
model_key.py        what a model is made of, as one hash
reuse.py            the version of an earlier run, where a run would only repeat that one

own_log.py          the ledger's own decisions and outcomes as interactions, with the features that they were made with
served_chance.py    the probability of a choice of ours, over the draw of the control group
labels.py           outcomes -> labels within each outcome's window, in DuckDB; the ingested history and our own log as one
dataset.py          logged interactions with their labels and point-in-time features
selection.py        the probability with which the log chose each action, estimated where it was not logged
narrow.py           columns in as little memory as holds them exactly, and some rows of them
memory.py           what was read and worked with goes back to the system
prepared.py         the dataset as matrices, encoded once
splits.py           train and test rows: by time where there is time, else by contact
interactions.py     all of these together: the rows whole and split, and what limits them
labelled_rows.py    which logged rows a response or an opt-out is learned from
eligible_rows.py    which logged rows an action's eligibility condition holds for

own_models.py       a classifier or regressor of the user's own, named in nudge.yaml: imported, checked, made
fit_propensity.py   responses, opt-outs and observed values per action -> PropensityBundle
pooled_responses.py the level of each action pooled over its goal, one model for those too thin for their own
drift.py            which features drift in time, and which of them are not served
feature_shift.py    how far a distribution moved: stability index, classifier
tree_settings.py    the search for better settings of the trees, where it is granted minutes
fit_uplift.py       each action against no_action -> UpliftBundle
uplift_gate.py      whether differences between contacts are worth acting on, in money and in words
money.py            what a response is worth and what a contact costs, on logged rows
fit_clv.py          buy-till-you-die, corrected by LightGBM where the past says that it pays -> ClvBundle
fit_contracts.py    the same where contacts are under contract: discrete-time survival
lead_rows.py        which contacts became what a lead is to become
fit_lead.py         P(won) of a lead -> LeadBundle
backtest.py         CLV tested at earlier moments: which model, which weights, which level
spending.py         money that contacts spent: what CLV learns from and is judged by

evaluation.py       metrics on the test rows: calibration, ranking, Qini, errors in money
metric_intervals.py intervals of these figures, by contact
segments.py         uplift as predicted and as measured: fifths of the contacts, Qini bands
importance.py       which features move a model's answers: SHAP, coefficients
fairness.py         models side by side for the groups of a sensitive feature
policies.py         what the best constant action, ranking by propensity and by uplift would earn
headline.py         the one figure of a model that a person reads first
plots.py            pictures as PNG
pictures.py         which picture goes with which model
model_card.py       what a person must know before relying on a model

publishing.py       a judged model -> one MLflow run and a registered version
model_run.py        what a run shows and what the registry knows, as plain values
packaging.py        a bundle laid out so that the logged model answers by itself
pyfunc_model.py     what MLflow loads when anybody asks for models:/NAME@champion
tracking.py         the only door to MLflow: runs, registered models, aliases
version_tags.py     what is written on a registered version
promote.py          the rules by which a version becomes champion

held_out.py         what a tested fit said of its test rows, kept beside the model
champion_said.py    what the champions say of test rows that they have never seen, kept beside a challenger
held_out_evidence.py what would follow from two versions' held-out predictions
comparison.py       policies side by side on logged decisions: doubly robust values, gains over the champion
gate_verdict.py     does the challenger surely earn more?
lead_gate.py        does the new lead score rank no worse?
clv_gate.py         is the challenger's back-test error no larger?
watching.py         is what the champion learned still so: drift, kept promises, starved learning
=================== ==============================================================================================
"""
