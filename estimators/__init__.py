"""How do we predict? Estimators on arrays, with scikit-learn's conventions; no clock, no store, no network.

What a model reads
    `arrays.py`                 the types, and the coercion of any column to numbers, texts or days
    `validation.py`             the checks of scikit-learn's `fit` and `predict`
    `encoding.py`               FeatureEncoder: columns -> the matrix of the trees and the matrix of the linear models
    `encoding_numbers.py`       its half for numbers and times
    `encoding_categories.py`    its half for categories

What is learned
    `propensity.py`             ResponseModel: P(response | contacted)
    `response_members.py`       its members on rows that they have not seen
    `response_levels.py`        how far the actions of a goal differ in how many respond: thin ones lean on the others
    `own_response.py`           the same by a user's own classifier
    `folds.py`                  which rows a model is chosen on: forward in time, whole contacts, or rows
    `lasting.py`                what forward folds say: the blend that lasts, the shift of the level
    `blending.py`               the weights of its members, by out-of-fold log loss
    `calibration.py`            calibration error, two calibrators, the choice between them and none
    `value.py`                  ValueModel: money of a response, given that there is one
    `uplift.py`                 DoublyRobustUplift: what one action changes; it is a case of
    `action_uplifts.py`         what many actions change, in four steps: effects, pseudo-outcomes, stack, pooling
    `effects.py`                the hierarchical model of all effects, with
    `effect_rows.py`            the rows as it reads them,
    `effect_levels.py`          which effects actions share,
    `effect_system.py`          and Newton's equations
    `curves.py`                 a square beside each number
    `expectations.py`           what the effect model expects of every row, in one pass
    `pair_learners.py`          the learners of one action beside it, cross-fitted or, with many rows, held out
    `nuisance.py`               what happens with and without the contact, out of fold, and the pseudo-outcomes
    `stacking.py`               the weights of several learners, the average effect among them
    `gate.py`                   are the differences between contacts sure enough to act on?
    `shrinkage.py`              partial pooling: actions towards each other, channels towards their action
    `clv.py`                    customer lifetime value: buy-till-you-die, or LightGBM alone where that is not identified
    `clv_transactions.py`       how often a buyer will buy again, and whether he still does, by one of:
    `clv_pareto_nbd.py`         Pareto/NBD
    `clv_bg_nbd.py`             BG/NBD and MBG/NBD
    `clv_likelihood.py`         their maximum likelihood, on grouped histories
    `clv_gamma_gamma.py`        how much he spends
    `clv_correction.py`         LightGBM on what these expect too much or too little of, and the weights of a blend
    `clv_intervals.py`          how far off the money may be
    `clv_survival.py`           under contract: when contracts end, and what they pay until then
    `lead.py`                   LeadModel: P(won) of a lead, and a points card beside it:
    `lead_points.py`            learning the card, from
    `lead_bins.py`              monotone bins and their weights of evidence
    `adaptive.py`               how far the level of responses has moved between trainings
    `tuning.py`                 better settings of the trees by successive halving
    `trees.py`, `linear.py`     LightGBM and penalised linear models with the settings of this project
    `parallel.py`               many small fits side by side

What is served
    `scores.py`                 fitted parts: coefficient vectors and LightGBM texts
    `own_score.py`              a user's own classifier or regressor, opened by skops only where the workspace trusts its types
    `forest.py`                 many LightGBM models of the same contacts at once, compiled, to the last bit LightGBM's scores;
    `forest_candidates.py`      one model with the action among its features: all candidates of a contact in one walk; of both
    `forest_text.py`            LightGBM's text as plain trees, or refused,
    `forest_layout.py`          the trees as flat arrays, and
    `forest_kernels.py`, `forest_candidate_kernels.py`  the walks
    `joint.py`                  what all three bundles say of the same contacts, read once and computed together:
    `joint_rows.py`             reading,
    `joint_tables.py`, `joint_money.py`  the bundles as tables, and
    `joint_kernels.py`, `joint_clv.py`, `joint_everything.py`  the loops over them
    `compiling.py`              loops compiled by numba
    `lead_card.py`              a points card: lines, points, P(won) of their sum
    `heads.py`                  a fitted model per action, made of such parts
    `clv_heads.py`, `clv_blend.py`  the same for CLV: one model of the contacts, or a blend
    `uplift_head.py`            the uplift of an action, by channel and with its error
    `served_effects.py`         the effect model's part in it
    `bundle.py`                 `load_bundle` and the bundles:
    `bundle_propensity.py`, `bundle_uplift.py`, `bundle_clv.py`, `bundle_lead.py`
    `bundle_files.py`           a bundle as a directory of JSON and LightGBM text, never a pickle
"""
