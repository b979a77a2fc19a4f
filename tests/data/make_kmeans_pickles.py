"""Make `kmeans-<version>.pkl` with the scikit-learn that runs this script.

Run once per version, each in an environment of its own:
    python -m venv env && env/bin/pip install scikit-learn==1.5.2 'numpy<2'
    env/bin/python tests/data/make_kmeans_pickles.py
"""

import json
import pickle
from pathlib import Path

import numpy as np
import sklearn
from sklearn.cluster import KMeans

FOLDER = Path(__file__).parent
CENTROIDS = np.round(np.random.default_rng(7).normal(size=(3, 4)), 3)


def main() -> None:
    """Write one pickle, and the centroids that each of them must give."""
    kmeans = KMeans(3, n_init=1, init=CENTROIDS, max_iter=1)
    kmeans.fit(np.repeat(CENTROIDS, 2, axis=0))
    version = f"{sklearn.__version__}-numpy-{np.__version__}"
    (FOLDER / f"kmeans-{version}.pkl").write_bytes(pickle.dumps(kmeans))
    (FOLDER / "kmeans-centroids.json").write_text(json.dumps(CENTROIDS.tolist()) + "\n")


if __name__ == "__main__":
    main()
