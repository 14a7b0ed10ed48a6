"""The small trained package that these tests share."""

from tests.model_stand import package_folder, surfaces, trained

__all__ = ["package_folder", "surfaces", "trained"]
