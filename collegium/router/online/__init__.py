"""Online learning: a contextual bandit on top of the fitted router's forecasts.

`Bandit` decides and learns; `off_policy` judges a policy by decisions that another one logged.
"""
