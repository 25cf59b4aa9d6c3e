"""How do we predict? Estimators on arrays, with scikit-learn's conventions; no clock, no store, no network.

What a model reads
    `arrays.py`                 the types, and the coercion of any column to numbers, texts or days
    `encoding.py`               FeatureEncoder: columns -> the matrix of the trees and the matrix of the linear models
    `encoding_numbers.py`       its half for numbers and times
    `encoding_categories.py`    its half for categories

What is learned

What is served
    `scores.py`                 fitted parts: coefficient vectors and LightGBM texts
    `heads.py`                  a fitted model per action, made of such parts
    `bundle.py`                 `load_bundle`; the three bundles are in `bundle_propensity.py`, `bundle_uplift.py`, `bundle_clv.py`
    `bundle_files.py`           a bundle as a directory of JSON and LightGBM text, never a pickle
"""
