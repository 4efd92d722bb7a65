"""Past one machine: training, scoring and search on a Ray cluster. The one door to ray.

Import the module that is needed: each starts ray only when it is called.
"""
