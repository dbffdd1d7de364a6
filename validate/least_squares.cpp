#include "validate/least_squares.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace railcast {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// Least squares over the columns in use, by the normal equations with a ridge at rounding's level.
VectorXd over(const MatrixXd& gram, const VectorXd& rhs, const std::vector<Index>& used) {
  const auto n = static_cast<Index>(used.size());
  MatrixXd g(n, n);
  VectorXd r(n);
  for (Index i = 0; i < n; ++i) {
    r(i) = rhs(used[static_cast<std::size_t>(i)]);
    for (Index j = 0; j < n; ++j) g(i, j) = gram(used[static_cast<std::size_t>(i)], used[static_cast<std::size_t>(j)]);
  }
  g.diagonal() += VectorXd::Constant(n, 1e-12 * std::max(1e-30, g.diagonal().maxCoeff()));
  const VectorXd solved = g.ldlt().solve(r);
  VectorXd x = VectorXd::Zero(rhs.size());
  for (Index i = 0; i < n; ++i) x(used[static_cast<std::size_t>(i)]) = solved(i);
  return x;
}

/// How far from x towards z one may go before a used column turns negative.
double step_to(const VectorXd& x, const VectorXd& z, const std::vector<Index>& used) {
  double step = 1;
  for (const Index j : used)
    if (z(j) <= 0) step = std::min(step, x(j) / (x(j) - z(j)));
  return step;
}

}  // namespace

VectorXd non_negative(const MatrixXd& a, const VectorXd& b) {
  // Columns of very different size are brought to unit length first.
  VectorXd length = a.colwise().norm().transpose();
  length = (length.array() > 0).select(length, 1);
  const MatrixXd unit = a * length.cwiseInverse().asDiagonal();
  const MatrixXd gram = unit.transpose() * unit;
  const VectorXd rhs = unit.transpose() * b;
  VectorXd x = VectorXd::Zero(a.cols());
  std::vector<Index> used;
  for (Index round = 0; round < 3 * a.cols(); ++round) {
    VectorXd pull = rhs - gram * x;
    for (const Index j : used) pull(j) = 0;
    Index next = 0;
    if (pull.maxCoeff(&next) <= 1e-10 * b.norm()) break;
    used.push_back(next);
    VectorXd z = over(gram, rhs, used);
    while (std::ranges::any_of(used, [&](Index j) { return z(j) <= 0; })) {
      x += step_to(x, z, used) * (z - x);
      std::erase_if(used, [&](Index j) { return x(j) <= 1e-14 || (z(j) <= 0 && x(j) <= 1e-12); });
      z = over(gram, rhs, used);
    }
    x = z;
  }
  return x.cwiseQuotient(length);
}

VectorXd robust_relative(const MatrixXd& a, const VectorXd& b, double knee) {
  constexpr int kRounds = 10;
  VectorXd weight = b.cwiseInverse(), x;
  for (int i = 0; i < kRounds; ++i) {
    x = non_negative(weight.asDiagonal() * a, weight.cwiseProduct(b));
    const Eigen::ArrayXd fitted = (a * x).array().max(1e-9 * b.array());
    const Eigen::ArrayXd error = (fitted / b.array()).log().abs();
    weight = ((knee / error.max(knee)).sqrt() / (fitted * b.array()).sqrt()).matrix();
  }
  return x;
}

}  // namespace railcast
