"""Runs bench/queue.py in a Django that is set up, which its imports need."""

import importlib

import django

if __name__ == "__main__":
    django.setup()
    importlib.import_module("bench.queue").main()
