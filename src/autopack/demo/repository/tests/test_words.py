import unittest

from toolbox.words import title


class Words(unittest.TestCase):
    def test_title(self):
        self.assertEqual(title("a small  tool"), "A Small Tool")
