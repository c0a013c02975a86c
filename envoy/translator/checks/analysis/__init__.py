"""
Warnings about resources that are valid and yet do not do what they seem to: the codes and words of `istioctl analyze`.
"""
