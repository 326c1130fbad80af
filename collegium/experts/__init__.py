"""Experts: the engines that run them, the clients that call them, and dispatch between them."""
