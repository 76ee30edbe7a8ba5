"""Searching with the gradients of the supernet.

supernet_gradients   losses and gradients of children, by choice of each gene
taylor               the estimated loss of dropping the weights that a smaller choice lacks
gene_tables          one number per choice of each gene, fitted to costs or to changes of loss
guided               the search that begins with such a table
"""
