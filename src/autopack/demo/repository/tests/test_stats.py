import unittest

from toolbox.stats import mean, median


class Stats(unittest.TestCase):
    def test_mean(self):
        self.assertEqual(mean([1, 2, 3]), 2)

    def test_median_of_sorted(self):
        self.assertEqual(median([1, 2, 9]), 2)
