"""Learn while serving: a contextual bandit on top of the fitted router's forecasts.

`Bandit` decides and learns; `off_policy` judges a policy by decisions that another one logged.
"""

from collegium.router.online.bandit import Bandit, BanditSettings, Choice
from collegium.router.online.reward import Weights

__all__ = ["Bandit", "BanditSettings", "Choice", "Weights"]
