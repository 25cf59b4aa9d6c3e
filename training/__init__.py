"""How do we learn, prove and publish?

Reads the contract tables and Feast's historical features, fits the three served models, proves them on rows they have not seen, and
publishes them to MLflow. A shell room: it may import `features` and the pure rooms, never `serving` or `simulation`.

=================== ==============================================================================================
file                holds
=================== ==============================================================================================
context.py          what a training run needs (`TrainingContext`) and what it returns (`TrainingReport`)
labels.py           outcomes -> labels within each outcome's window, in DuckDB
dataset.py          logged interactions with their labels and point-in-time features
selection.py        the probability with which the log chose each action, estimated where it was not logged
eligible_rows.py    which logged rows an action's eligibility condition holds for
splits.py           train and test rows: by time where there is time, else by contact
fit_propensity.py   responses, opt-outs and observed values per action -> PropensityBundle
fit_uplift.py       each action against no_action -> UpliftBundle
fit_clv.py          BG/NBD x Gamma-Gamma against LightGBM on a split in time -> ClvBundle
evaluation.py       metrics on the test rows, policy values with intervals
plots.py            the same as pictures
model_card.py       what a person must know before relying on a model
tracking.py         the only door to MLflow: runs, registered models, aliases
pyfunc_model.py     what MLflow loads when anybody asks for models:/NAME@champion
promote.py          the rules by which a version becomes champion
run.py              all of it, in order: `train`
=================== ==============================================================================================
"""
