#include "kernels/moe_layer_reference.hpp"

#include <Eigen/Core>

namespace railcast::kernels::reference {
namespace {

using Matrix = Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
using Gradient = Eigen::Map<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
using Vector = Eigen::VectorXd;

Vector vector(const std::vector<double>& x) {
  return Eigen::Map<const Vector>(x.data(), static_cast<Eigen::Index>(x.size()));
}
std::vector<double> list(const Vector& x) { return {x.data(), x.data() + x.size()}; }

}  // namespace

ChoicePass moe_choice(const ExpertSize& s, const Expert& expert, const std::vector<double>& x,
                      const std::vector<double>& d_out, double weight, Expert* gradients) {
  const Matrix w1(expert.w1.data(), 2 * s.inner, s.hidden), w2(expert.w2.data(), s.hidden, s.inner);
  const Vector in = vector(x), gate_up = w1 * in;
  const Eigen::ArrayXd g = gate_up.head(s.inner).array(), u = gate_up.tail(s.inner).array();
  const Eigen::ArrayXd sigmoid = 1 / (1 + (-g).exp()), silu = g * sigmoid;
  const Vector h = (silu * u).matrix(), y = w2 * h;
  const Vector d_y = weight * vector(d_out), d_h = w2.transpose() * d_y;
  Vector d_gate_up(2 * s.inner);
  d_gate_up.head(s.inner) = (d_h.array() * u * sigmoid * (1 + g * (1 - sigmoid))).matrix();
  d_gate_up.tail(s.inner) = (d_h.array() * silu).matrix();
  if (gradients != nullptr) {
    Gradient(gradients->w1.data(), 2 * s.inner, s.hidden) += d_gate_up * in.transpose();
    Gradient(gradients->w2.data(), s.hidden, s.inner) += d_y * h.transpose();
  }
  return {list(weight * y), list(w1.transpose() * d_gate_up), vector(d_out).dot(y)};
}

}  // namespace railcast::kernels::reference
