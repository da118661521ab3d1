"""Names of the figures, as tables, reports and JSON know them."""

APGR = "apgr"
APGR_NORMALISED = "apgr_normalised"
APGR_TEN_THRESHOLDS = "apgr_ten_thresholds"
APGR_ELEVEN_QUANTILES = "apgr_eleven_quantiles"
CPTS = {"cpt_50": 0.5, "cpt_80": 0.8}
"""Shares of strong calls that recover these shares of the gap; with costs also as
``cpt_50_usd``: the share of the extra cost, all strong against all weak, at the same cut."""
CALLS = {"calls_90": 0.90, "calls_95": 0.95, "calls_98": 0.98, "calls_100": 1.0}
"""Shares of strong calls that reach these fractions of the strong model's own quality."""
AUROC = "auroc"
LOG_LOSS, BRIER, ECE = "log_loss", "brier", "ece"
APGR_USD = "apgr_usd"
SAVED_USD_PER_1K = "saved_95_usd_per_1k"
"""Saved against all strong, at the cut where quality is 95% of the strong model's."""
SAVED_SHARE = "saved_95_share"
"""The same as a fraction of the bill of all strong."""
