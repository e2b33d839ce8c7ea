"""Numbers that were published for small training runs."""

# karpathy/micrograd, demo.ipynb: step -> (loss before its update, accuracy in percent)
MICROGRAD = {
    0: (0.8958441028683222, 50),
    10: (0.24507023853658053, 91),
    20: (0.18977522856087634, 91),
    30: (0.11731297569011848, 95),
    40: (0.06016009895234464, 100),
    50: (0.09875114765619622, 96),
    60: (0.0325971115781023, 99),
    70: (0.014229870065926908, 100),
    80: (0.012318500800515763, 100),
    90: (0.010984458327280174, 100),
    99: (0.010978370135492717, 100),
}

# Matt Mazur, A Step by Step Backpropagation Example: the error, and the weights of both layers after one step
MAZUR_ERROR = 0.298371109
MAZUR_FIRST_LAYER = [[0.149780716, 0.19956143], [0.24975114, 0.29950229]]
MAZUR_SECOND_LAYER = [[0.35891648, 0.408666186], [0.511301270, 0.561370121]]
