// Least squares as a fit of costs needs them: no price below zero, and no row that spoils the rest.
#pragma once
#include <Eigen/Dense>

namespace railcast {

/// x >= 0 with the least |A x - b|, by Lawson and Hanson's active set (Solving Least Squares Problems, 1974, ch. 23).
Eigen::VectorXd non_negative(const Eigen::MatrixXd& a, const Eigen::VectorXd& b);

/// The same for the error of the logarithm, so that a row at a third of its forecast counts as one at three times;
/// beyond `knee` a row's pull stops growing (Huber). Reweighted until it settles.
Eigen::VectorXd robust_relative(const Eigen::MatrixXd& a, const Eigen::VectorXd& b, double knee);

}  // namespace railcast
