"""digits-Adam in scikit-learn: a whole fit, with scikit-learn's initial weights and order of the examples."""

import warnings

import sklearn
from cases import BETAS, EPS, Array, Case
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

VERSION = f"scikit-learn {sklearn.__version__}"


class Fit:
    """MLPClassifier.fit on the largest number of examples that fills whole batches."""

    def __init__(self, case: Case) -> None:
        if case.name != "digits-Adam":
            raise NotImplementedError(f"MLPClassifier does not support case {case.name}")
        self.case = case
        self.batch = case.rows.shape[1]
        self.per_epoch = len(case.x) // self.batch

    def losses(self, steps: int) -> Array | None:
        return None  # weights and batches are different, so losses are not comparable

    def steps(self, steps: int) -> None:
        examples = self.per_epoch * self.batch
        epochs = steps // self.per_epoch
        net = MLPClassifier(
            self.case.widths[1:-1],
            solver="adam",
            alpha=0.0,
            batch_size=self.batch,
            learning_rate_init=float(self.case.lr[0]),
            beta_1=BETAS[0],
            beta_2=BETAS[1],
            epsilon=EPS,
            max_iter=epochs,
            n_iter_no_change=epochs,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of steps is fixed
            net.fit(self.case.x[:examples], self.case.y[:examples])
