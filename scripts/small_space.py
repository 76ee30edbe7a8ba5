"""A small space for scripts that train the same supernet many times."""

SPACE = """
schema: 1
name: small
norm: batch
resolution: [8, 12]
stem: [conv: {stride: [2, 1]}]
stages:
- width: [8, 16]
  depth: [1, 2]
  mixers: [pool, depthwise: {kernel: [3, 5]}, attention]
  channel_mixers: [none, mlp: {ratio: [1, 2]}]
- {width: [16, 24], depth: [1, 2], stride: 2, downsampling: conv, mixers: [pool, linear]}
"""
