"""The directory of a run: every file in it, written atomically and validated when it is read.

    .hydra/config.yaml hydra.yaml overrides.yaml   the composed config and the overrides of the command line
    minitrain.log                                  the log
    data.json                                      preprocessing, and the fingerprint of the data; see `data.record`
    metrics.csv                                    a row per logged step; see `metrics_file`
    summary.json                                   status, final and best metrics, versions; see `summary`, `maker`
    checkpoints/last.npz best.npz                  the network, the optimizer state and the progress; see `checkpoint`
    loss.* diagnostics.* and plots                 figures, as PNG and SVG

Files are written to a temporary file, synced and renamed (`files`), so that a process that is killed at any moment
leaves either the old or the new file. Only metrics.csv and minitrain.log are appended to, and a resumed run truncates
metrics.csv to its checkpoint. A directory may be untrusted: readers limit sizes, validate types and raise RecordError.
Imports nothing but the loose modules.
"""
